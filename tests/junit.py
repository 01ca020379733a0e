"""Prints the passed, failed and skipped tests of a JUnit file: `junit.py FILE`."""

import sys
import xml.etree.ElementTree as ElementTree

try:
    suites = list(ElementTree.parse(sys.argv[1]).iter("testsuite"))
except (OSError, ElementTree.ParseError):
    suites = []


def total(attribute: str) -> int:
    return sum(int(suite.get(attribute, "0")) for suite in suites)


failed = total("failures") + total("errors")
skipped = total("skipped")
print(total("tests") - failed - skipped, failed, skipped)
