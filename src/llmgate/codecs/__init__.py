"""Pure byte helpers: Server-Sent Events, JSON and dotenv files; no I/O, no state beyond the object at hand."""
