"""An agent of Pydantic AI's: it calls its tools by itself, whole and streamed."""

import asyncio
import os
import sys

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=f"{os.environ['GATEWAY']}/v1", api_key="my-llmgate-key")
agent = Agent(OpenAIChatModel(os.environ["MODEL"], provider=provider))


@agent.tool_plain
def read_note() -> str:
    """Reads the note."""
    with open("note.txt", encoding="utf-8") as file:
        return file.read()


async def main() -> None:
    whole = await agent.run(sys.argv[1])
    async with agent.run_stream(sys.argv[1]) as stream:
        streamed = await stream.get_output()
    assert whole.output == streamed, streamed
    print(whole.output)


asyncio.run(main())
