"""What goes in and out over HTTP, for validation and the OpenAPI page.

Inside, values are plain dataclasses.
"""
