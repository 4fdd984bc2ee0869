#!/bin/sh
# The sources as validation/lint wants them, with the tools that are there.
exec "${srcdir:-.}/validation/lint" --quick
