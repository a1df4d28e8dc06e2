"""Pages of the host. None is built in: a gateway shows nothing to browsers unless a plugin is installed and named."""
