"""The openai library as it was before tools: its model calls functions, in streams and in whole answers."""

import json
import os
import sys

import openai

openai.api_base = f"{os.environ['GATEWAY']}/v1"
openai.api_key = "my-llmgate-key"
MODEL = os.environ["MODEL"]
FUNCTION = {"name": "read_note", "description": "Reads the note.", "parameters": {"type": "object", "properties": {}}}


def read_note() -> str:
    with open("note.txt", encoding="utf-8") as file:
        return file.read()


turns = [{"role": "user", "content": sys.argv[1]}]
while True:
    asked = {"model": MODEL, "messages": turns, "functions": [FUNCTION], "function_call": "auto"}
    text, call, end = "", {"name": "", "arguments": ""}, None
    for chunk in openai.ChatCompletion.create(stream=True, **asked):
        delta = chunk.choices[0].delta
        assert "tool_calls" not in delta, delta
        text += delta.get("content") or ""
        for name, piece in (delta.get("function_call") or {}).items():
            call[name] += piece
        end = chunk.choices[0].finish_reason or end
    whole = openai.ChatCompletion.create(**asked).choices[0]
    assert whole.finish_reason == end, (whole, end)
    if not call["name"]:
        assert whole.message.content == text, whole
        break
    assert end == "function_call", end
    assert whole.message.function_call.to_dict() == call, (whole, call)
    assert isinstance(json.loads(call["arguments"]), dict)
    turns.append({"role": "assistant", "content": text or None, "function_call": call})
    turns.append({"role": "function", "name": call["name"], "content": read_note()})
print(text)
