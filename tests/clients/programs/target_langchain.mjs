// The tab "LangChain JS": its OpenAI chat model with headers of its own.
import { ChatOpenAI } from "@langchain/openai";

const model = new ChatOpenAI({
  model: "gpt-4o-mini",
  apiKey: "sk-own",
  configuration: {
    baseURL: `${process.env.GATEWAY}/v1`,
    defaultHeaders: {
      "Helicone-Auth": `Bearer ${process.env.HELICONE_API_KEY}`,
      "Helicone-Target-Url": process.env.TARGET,
      "Helicone-Target-Provider": "LemonFox",
    },
  },
});
console.log((await model.invoke("Say hi!")).content);
