"""The tab "Python w/package": Helicone's own package around openai before 1.0."""

import os

from helicone.globals import helicone_global
from helicone.openai_proxy import openai

helicone_global.proxy_url = openai.api_base = f"{os.environ['GATEWAY']}/v1"
openai.api_key = "sk-own"
answer = openai.ChatCompletion.create(
    model="gpt-35-turbo",
    messages=[{"role": "user", "content": "Hello World!"}],
    max_tokens=15,
    headers={"Helicone-Target-Url": os.environ["TARGET"]},
)
print(answer.choices[0].message.content)
