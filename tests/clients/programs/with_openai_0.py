"""The openai library as it was before 1.0: streams, answers a call of a tool, and names the model as an engine."""

import json
import os
import sys

import openai

openai.api_base = f"{os.environ['GATEWAY']}/v1"
openai.api_key = "my-llmgate-key"
MODEL = os.environ["MODEL"]
TOOL = {"name": "read_note", "description": "Reads the note.", "parameters": {"type": "object", "properties": {}}}


def read_note() -> str:
    with open("note.txt", encoding="utf-8") as file:
        return file.read()


assert openai.Model.list().object == "list"
turns = [{"role": "user", "content": sys.argv[1]}]
while True:
    text, calls = "", {}
    asked = {"messages": turns, "tools": [{"type": "function", "function": TOOL}]}
    for chunk in openai.ChatCompletion.create(model=MODEL, stream=True, **asked):
        delta = chunk.choices[0].delta
        text += delta.get("content") or ""
        for call in delta.get("tool_calls") or ():
            one = calls.setdefault(call.index, {"id": "", "name": "", "arguments": ""})
            one["id"] += call.get("id") or ""
            one["name"] += call.function.get("name") or ""
            one["arguments"] += call.function.get("arguments") or ""
    if not calls:
        break
    made = [
        {"id": one["id"], "type": "function", "function": {"name": one["name"], "arguments": one["arguments"] or "{}"}}
        for one in calls.values()
    ]
    assert all(isinstance(json.loads(one["function"]["arguments"]), dict) for one in made)
    turns.append({"role": "assistant", "content": text or None, "tool_calls": made})
    turns += [{"role": "tool", "tool_call_id": one["id"], "content": read_note()} for one in made]

whole = openai.ChatCompletion.create(engine=MODEL, messages=turns)
assert whole.choices[0].message.content == text, whole
assert whole.usage.total_tokens == 18, whole
print(text)
