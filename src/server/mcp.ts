/**
 * MCP: the newest revision (2026-07-28) and the 2025 ones. One server object per request over
 * HTTP, per connection over stdio; it holds nothing but the caller's gateway.
 */
import {
  McpServer,
  ProtocolError,
  ProtocolErrorCode,
  type CallToolResult,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { serveStdio, type StdioServerHandle } from '@modelcontextprotocol/server/stdio';
import { PROBLEMS, type ProblemCode } from '../model/problem.ts';
import type { Next } from '../model/result.ts';
import type { AgentGateway } from './gateway.ts';
import { operationTools } from './mcp-operations.ts';
import { TOOLS, type Tool } from './mcp-tools.ts';
import { isProblemCode, type Log } from './problem.ts';

export interface McpOptions {
  readonly version: string;
  readonly log: Log;
  /** Aborts when the caller is gone or the gateway stops: waits end with the present state. */
  readonly ended: AbortSignal;
}

const INSTRUCTIONS =
  'Writegate makes writes to production systems for you: you hold no credential of theirs. Propose a write with `propose`; it is measured, decided by policy and, where people must agree, held until they do. Every answer has `state`, `code`, `reason` and `next`; do what `next` says. People approve elsewhere; nothing you can call approves.';

/** Makes the MCP server that speaks for one agent. */
export function mcpServer(gateway: AgentGateway, options: McpOptions): McpServer {
  const mcp = new McpServer(
    { name: 'writegate', title: 'Writegate', version: options.version },
    { capabilities: { tools: { listChanged: false } }, instructions: INSTRUCTIONS },
  );
  // The low level, because a problem must keep its code: the high one answers bad arguments itself.
  mcp.server.setRequestHandler('tools/list', async () => ({
    tools: (await toolsOf(gateway, options.log)).map(listed),
  }));
  mcp.server.setRequestHandler('tools/call', (request, context) =>
    callTool(gateway, options, { ...request.params, context }),
  );
  return mcp;
}

/** The tool as it is told: with schemas of objects, as the protocol has them, and without its call. */
function listed({ call: _call, ...tool }: Tool) {
  return {
    ...tool,
    inputSchema: { ...tool.inputSchema, type: 'object' as const },
    outputSchema: { ...tool.outputSchema, type: 'object' as const },
  };
}

/**
 * Serves MCP over this process's standard input and output. For `writegate mcp`: `gateway` is then
 * the SDK's client, so that what runs beside the agent holds the agent's token and nothing else.
 */
export function serveMcpStdio(gateway: AgentGateway, options: McpOptions): StdioServerHandle {
  return serveStdio(() => mcpServer(gateway, options), {
    onerror: (error) => options.log('an MCP message could not be served', error),
  });
}

interface Called {
  readonly name: string;
  readonly arguments?: unknown;
  readonly context: ServerContext;
}

async function callTool(
  gateway: AgentGateway,
  options: McpOptions,
  called: Called,
): Promise<CallToolResult> {
  const tools = await toolsFor(called.name, gateway, options.log);
  const tool = tools.find(({ name }) => name === called.name);
  if (tool === undefined) {
    const known = tools.map(({ name }) => `\`${name}\``).join(', ');
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, `unknown tool; there are ${known}`);
  }
  const { signal } = called.context.mcpReq;
  try {
    return await tool.call({
      gateway,
      arguments: called.arguments ?? {},
      signal: AbortSignal.any([signal, options.ended]),
      progress: progressOf(called.context),
    });
  } catch (error) {
    return problemResult(error, options.log);
  }
}

/** Which structured writes there are is the gateway's to say; while it does not, there are none. */
async function toolsOf(gateway: AgentGateway, log: Log): Promise<readonly Tool[]> {
  try {
    const { items } = await gateway.operations();
    const names = new Set(TOOLS.map(({ name }) => name));
    return [...TOOLS, ...operationTools(items).filter(({ name }) => !names.has(name))];
  } catch (error) {
    log('the operations of the targets could not be listed', error);
    return TOOLS;
  }
}

/** The general tools need nobody asked. */
async function toolsFor(name: string, gateway: AgentGateway, log: Log): Promise<readonly Tool[]> {
  return TOOLS.some((tool) => tool.name === name) ? TOOLS : toolsOf(gateway, log);
}

/** Reports progress where the client asked for it; that resets its time-out. */
function progressOf(
  context: ServerContext,
): ((waitedMs: number, waitMs: number) => Promise<void>) | undefined {
  const progressToken = context.mcpReq._meta?.progressToken;
  if (progressToken === undefined) return undefined;
  return (waitedMs, waitMs) =>
    context.mcpReq.notify({
      method: 'notifications/progress',
      params: { progressToken, progress: waitedMs, total: waitMs, message: 'waiting for a person' },
    });
}

/** A problem is the tool's answer, marked as an error: the model can act on it. */
function problemResult(error: unknown, log: Log): CallToolResult {
  const { code, reason, retryAfterMs } = problemOf(error, log);
  const next = nextAfter(code);
  const again = retryAfterMs === null ? '' : `, then again in ${retryAfterMs} ms`;
  return {
    isError: true,
    content: [{ type: 'text', text: `${code}: ${reason}; next: ${next}${again}` }],
    structuredContent: { code, reason, next, ...(retryAfterMs !== null && { retryAfterMs }) },
  };
}

/** The gate's problems and those that the SDK's client brings from a gateway both carry `code`. */
function problemOf(
  error: unknown,
  log: Log,
): { code: ProblemCode; reason: string; retryAfterMs: number | null } {
  if (error instanceof Error && 'code' in error && isProblemCode(error.code)) {
    if (error.code === 'bug') log('a tool met a bug', error);
    const given = 'retryAfterMs' in error ? error.retryAfterMs : null;
    const retryAfterMs = typeof given === 'number' ? given : null;
    return { code: error.code, reason: error.message, retryAfterMs };
  }
  log('a tool ended in an error that nobody foresaw', error);
  return { code: 'bug', reason: PROBLEMS.bug.title, retryAfterMs: null };
}

/** What a model should do about a problem: the status says whose turn it is. */
function nextAfter(code: ProblemCode): Next {
  const { status, acts } = PROBLEMS[code];
  if (acts === 'operator' || status === 401 || status === 403) return 'ask-human';
  if (status === 429 || status === 503) return 'wait';
  return status === 409 ? 'none' : 'fix-arguments';
}
