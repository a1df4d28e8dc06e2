"""LangChain's OpenAI chat model: streams, and answers a call of a tool."""

import os
import sys

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def read_note() -> str:
    """Reads the note."""
    with open("note.txt", encoding="utf-8") as file:
        return file.read()


model = ChatOpenAI(
    model=os.environ["MODEL"],
    base_url=f"{os.environ['GATEWAY']}/v1",
    api_key="my-llmgate-key",
    max_retries=0,
    stream_usage=True,
).bind_tools([read_note])

turns = [HumanMessage(sys.argv[1])]
while True:
    answer = None
    for chunk in model.stream(turns):
        answer = chunk if answer is None else answer + chunk
    turns.append(answer)
    if not answer.tool_calls:
        break
    turns += [ToolMessage(read_note.invoke(call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls]

assert answer.usage_metadata["total_tokens"] == 18, answer.usage_metadata
print(answer.text)
