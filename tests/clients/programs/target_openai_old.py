"""The tab "Python" of the universal gateway: openai before 1.0, with headers of a call."""

import os

import openai

openai.api_base = f"{os.environ['GATEWAY']}/v1"
openai.api_key = "sk-own"
answer = openai.ChatCompletion.create(
    model="gpt-3.5-turbo",
    messages=[{"role": "user", "content": "Say hi!"}],
    headers={
        "Helicone-Auth": f"Bearer {os.environ['HELICONE_API_KEY']}",
        "Helicone-Target-Url": os.environ["TARGET"],
        "Helicone-Target-Provider": "LemonFox",
    },
)
print(answer.choices[0].message.content)
