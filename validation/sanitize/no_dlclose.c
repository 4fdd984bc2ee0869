/* Keep plug-ins loaded so that LeakSanitizer can name and suppress their leaks. */
int dlclose(void *handle);

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}
