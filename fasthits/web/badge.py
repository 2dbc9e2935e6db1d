"""A view counter as a small picture, for other pages to show."""

from xml.etree import ElementTree

HEIGHT = 20
PADDING = 6
NARROW, WIDE = 4.0, 7.2
"""Widths of a comma and of a digit or letter in the badge's font."""


def badge(label: str, number: str) -> bytes:
    """Return an SVG picture with *label* and *number*.

    >>> badge("views", "1,234")[:50]
    b'<svg xmlns="http://www.w3.org/2000/svg" width="93"'
    """
    left, right = _width(label), _width(number)
    size = {"width": str(left + right), "height": str(HEIGHT)}
    svg = ElementTree.Element(
        "svg", {"xmlns": "http://www.w3.org/2000/svg", **size, "role": "img", "aria-label": f"{label}: {number}"}
    )
    ElementTree.SubElement(svg, "title").text = f"{label}: {number}"
    rounded = ElementTree.SubElement(svg, "clipPath", {"id": "r"})
    ElementTree.SubElement(rounded, "rect", {**size, "rx": "3"})
    boxes = ElementTree.SubElement(svg, "g", {"clip-path": "url(#r)"})
    for start, width, color in ((0, left, "#3d444d"), (left, right, "#0f766e")):
        ElementTree.SubElement(
            boxes, "rect", {"x": str(start), "width": str(width), "height": str(HEIGHT), "fill": color}
        )
    letters = ElementTree.SubElement(
        svg, "g", {"fill": "#fff", "font-family": "Verdana,DejaVu Sans,sans-serif", "font-size": "11"}
    )
    for start, width, text in ((0, left, label), (left, right, number)):
        middle = {"x": str(start + width / 2), "y": "14", "text-anchor": "middle"}
        ElementTree.SubElement(letters, "text", middle).text = text
    return ElementTree.tostring(svg)


def _width(text: str) -> int:
    return round(sum(NARROW if char == "," else WIDE for char in text)) + 2 * PADDING
