"""Other gateways and client libraries, measured beside llmgate."""
