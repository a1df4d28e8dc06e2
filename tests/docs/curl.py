#!/usr/bin/env python3
"""Stands in for curl on a machine that has none: as much of it as the documentation uses."""

from __future__ import annotations

import argparse
import sys
import urllib.error
import urllib.request


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-H", "--header", action="append", default=[])
    parser.add_argument("-d", "--data")
    parser.add_argument("-X", "--request")
    parser.add_argument("-i", "--include", action="store_true")
    parser.add_argument("-N", "--no-buffer", action="store_true")
    parser.add_argument("-s", "--silent", action="store_true")
    parser.add_argument("-S", "--show-error", action="store_true")
    options = parser.parse_args()
    headers = dict(line.split(": ", 1) for line in options.header)
    data = None if options.data is None else options.data.encode()
    request = urllib.request.Request(options.url, data, headers, method=options.request)
    try:
        answer = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        if options.include:
            print(f"HTTP/1.1 {answer.status} {answer.reason}\n{answer.headers}", end="")
        sys.stdout.write(answer.read().decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
