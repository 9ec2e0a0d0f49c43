// A conversation by the AI SDK's chat, on which useChat stands: node ai_sdk.mjs URL TOKEN CHAT
// Prints what it has seen as JSON.
import {
  AbstractChat,
  DefaultChatTransport,
  lastAssistantMessageIsCompleteWithApprovalResponses,
} from "ai";

const [api, token, id] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };

// What @ai-sdk/react keeps in React's state.
class State {
  constructor(messages) {
    this.messages = messages;
    this.status = "ready";
    this.error = undefined;
  }
  pushMessage(message) {
    this.messages = [...this.messages, message];
  }
  popMessage() {
    this.messages = this.messages.slice(0, -1);
  }
  replaceMessage(index, message) {
    this.messages = this.messages.with(index, structuredClone(message));
  }
  snapshot(thing) {
    return structuredClone(thing);
  }
}

class Chat extends AbstractChat {
  constructor(messages = [], options = {}) {
    const transport = new DefaultChatTransport({ api, headers });
    super({ id, transport, state: new State(messages), ...options });
  }
}

const seen = { data: [] };
const chat = new Chat([], {
  onData: (part) => seen.data.push([part.type, part.data]),
  onError: (error) => (seen.error = String(error)),
});

function parts(message) {
  return message.parts.map(({ type, text, state, input, output, approval }) => ({
    type,
    text,
    state,
    input,
    output,
    approval,
  }));
}

async function say(name, text) {
  await chat.sendMessage({ text });
  seen[name] = parts(chat.lastMessage);
}

await say("hello", "hello");
await say("weather", "weather");
await say("count", "count");
await say("color", "color");
await chat.addToolOutput({ tool: "pick", toolCallId: "pick-1", output: "red" });
await chat.sendMessage();
seen.picked = parts(chat.lastMessage);
await say("refund", "refund");
await chat.addToolApprovalResponse({ id: "may-1", approved: true });
seen.complete = lastAssistantMessageIsCompleteWithApprovalResponses({ messages: chat.messages });
await chat.sendMessage();
seen.refunded = parts(chat.lastMessage);
seen.roles = chat.messages.map((message) => message.role);
await chat.regenerate();
seen.again = parts(chat.lastMessage);

// a page that is loaded again while the agent writes
const sending = chat.sendMessage({ text: "slow" });
await new Promise((resolve) => setTimeout(resolve, 150));
const other = new Chat(structuredClone(chat.messages.filter((each) => each.role === "user")));
await other.resumeStream();
seen.resumed = parts(other.lastMessage);
await sending;
await other.resumeStream();
seen.status = [chat.status, other.status];
await say("fail", "fail");

console.log(JSON.stringify(seen));
