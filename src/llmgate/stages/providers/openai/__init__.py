"""The adapter for OpenAI and for every vendor that speaks a wire format the gateway knows."""
