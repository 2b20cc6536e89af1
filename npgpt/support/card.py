"""The tags of a page's head: title, description, icon, social preview."""

import html
import re
from urllib.parse import urljoin

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect "
    "width='32' height='32' rx='7' fill='%230a5cad'/%3E%3Cpath stroke='%23fff' stroke-width='3' "
    "fill='none' d='M5 25C5 3 27 3 27 25M16 25c0-9 11-9 11 0'/%3E%3C/svg%3E")


def head(title, about, address=None, picture=""):
    """Return the tags of a page's head, in ASCII; the picture's URL is relative to the page's."""
    title, about = html.escape(title), html.escape(about)
    tags = f"""<title>{title}</title>
<meta name="description" content="{about}">
<meta property="og:title" content="{title}">
<meta property="og:description" content="{about}">
<link rel="icon" href="{ICON}">"""
    if address:
        tags += f'\n<link rel="canonical" href="{html.escape(address)}">'
    if address and picture:
        tags += f"""
<meta property="og:image" content="{html.escape(urljoin(address, picture))}">
<meta name="twitter:card" content="summary_large_image">"""
    return tags.encode("ascii", "xmlcharrefreplace").decode()


def check_address(address):
    """Raise ValueError unless it is a URL or None."""
    if address is not None and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", address):
        raise ValueError(f"--address {address}: give a URL, such as https://example.org/a.html")
