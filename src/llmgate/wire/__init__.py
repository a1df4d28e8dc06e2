"""HTTP out: the only room that opens sockets to providers, and the guard over which addresses they may reach."""
