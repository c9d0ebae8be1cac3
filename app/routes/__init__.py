"""The API's routes, one module a topic: schema in, one call, schema out."""
