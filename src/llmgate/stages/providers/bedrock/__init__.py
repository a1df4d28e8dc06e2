"""Amazon Bedrock with a bearer key."""
