"""Interactive figures of pages: the data that their scripts draw.

The scripts are in `zsgen/assets/pages`, and `page.page` embeds both. All that
the data lacks of the runs is stated on the page.
"""
