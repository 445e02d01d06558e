#!/bin/sh
# embed.sh - print a C file that holds another file's octets
# usage: embed.sh FILE SYMBOL > SYMBOL.c
# Defines "const char SYMBOL[]", NUL-terminated, and "const size_t SYMBOL_len".
set -eu
if [ $# -ne 2 ]; then
	echo "usage: $0 FILE SYMBOL" >&2
	exit 2
fi
if [ ! -r "$1" ]; then
	echo "$0: cannot read $1" >&2
	exit 1
fi
printf '/* Made by embed.sh from %s. Do not edit. */\n' "$(basename "$1")"
printf '#include <stddef.h>\n\n'
printf 'extern const char %s[];\nextern const size_t %s_len;\n\n' "$2" "$2"
printf 'const char %s[] = {\n' "$2"
# In octal, and as character constants: no sign to convert, whatever char is.
od -An -v -to1 "$1" | sed -e "s/ *\([0-7][0-7]*\)/'\\\\\\1',/g"
printf "'\\\\0'\n};\nconst size_t %s_len = sizeof(%s) - 1;\n" "$2" "$2"
