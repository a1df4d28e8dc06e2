// The tab "Node.js": openai for Node, with headers of the client.
import OpenAI from "openai";

const client = new OpenAI({
  apiKey: "sk-own",
  baseURL: `${process.env.GATEWAY}/v1`,
  defaultHeaders: {
    "Helicone-Auth": `Bearer ${process.env.HELICONE_API_KEY}`,
    "Helicone-Target-Url": process.env.TARGET,
    "Helicone-Target-Provider": "LemonFox",
  },
});
const answer = await client.chat.completions.create({
  model: "gpt-4o-mini",
  messages: [{ role: "user", content: "Say hi!" }],
});
console.log(answer.choices[0].message.content);
