"""The documentation: its generated pages, and the tests that hold every page to the product."""
