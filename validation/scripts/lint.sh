#!/bin/sh
# validation/lint with the tools that are installed.
exec "${srcdir:-.}/validation/lint" --quick
