"""The book: CONCEPTS.md as a folder of pages, in which a trained model runs beside the sentences.

`pages.py` makes a page of each section, `sources.py` one of each file of code that they name.
Markdown, formulas and code are rendered by libraries, when the book is made; its pages need none.
"""
