"""Mistral's own library: a whole answer, and a call of a tool."""

import json
import os
import sys

from mistralai.client import Mistral

TOOL = {
    "type": "function",
    "function": {
        "name": "read_note",
        "description": "Reads the note.",
        "parameters": {"type": "object", "properties": {}},
    },
}


def read_note() -> str:
    with open("note.txt", encoding="utf-8") as file:
        return file.read()


with Mistral(api_key="my-llmgate-key", server_url=os.environ["GATEWAY"]) as client:
    turns = [{"role": "user", "content": sys.argv[1]}]
    while True:
        answer = client.chat.complete(model=os.environ["MODEL"], messages=turns, tools=[TOOL])
        said = answer.choices[0].message
        if not said.tool_calls:
            break
        turns.append(said)
        for call in said.tool_calls:
            arguments = call.function.arguments
            assert (json.loads(arguments) if isinstance(arguments, str) else arguments) == {}
            turns.append({"role": "tool", "name": "read_note", "tool_call_id": call.id, "content": read_note()})
    streamed = client.chat.stream(model=os.environ["MODEL"], messages=turns)
    text = "".join(event.data.choices[0].delta.content or "" for event in streamed if event.data.choices)

assert answer.usage.total_tokens == 18, answer.usage
assert text == said.content, text
print(said.content)
