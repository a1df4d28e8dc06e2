"""The tab "LangChain": its OpenAI chat model with headers of its own."""

import os

from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    model="gpt-4o-mini",
    api_key="sk-own",
    base_url=f"{os.environ['GATEWAY']}/v1",
    default_headers={
        "Helicone-Auth": f"Bearer {os.environ['HELICONE_API_KEY']}",
        "Helicone-Target-Url": os.environ["TARGET"],
        "Helicone-Target-Provider": "LemonFox",
    },
)
print(model.invoke("Say hi!").text)
