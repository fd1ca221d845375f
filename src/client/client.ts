import type {
  ApprovalBody,
  BaselinePage,
  BudgetPage,
  CredentialBody,
  CredentialPage,
  CredentialView,
  FreezePage,
  FreezeView,
  GatewayStatus,
  OperationPage,
  PolicyApplied,
  PolicyPage,
  PolicyView,
  ProposalPage,
  ProposalView,
  ResourcePage,
  UploadAnswer,
  RowPage,
  ResolutionBody,
  RowQuery,
  WriteBody,
} from '../model/api.ts';
import type { DependentsView } from '../model/dependents.ts';
import type { TracePage } from '../model/trace.ts';
import type { FreezeScope } from '../model/freeze.ts';
import type { State } from '../model/lifecycle.ts';
import type { ReadBody, ReadResult } from '../model/read.ts';
import type { ReplayBody, ReplayReport } from '../model/replay.ts';
import type { Result } from '../model/result.ts';
import type { SuggestAnswer, SuggestBody } from '../model/suggest.ts';
import { ask, type StepsOptions } from './steps.ts';
import { send, type Request, type TransportOptions } from './transport.ts';

export interface ClientOptions {
  /** The gateway's address, `http://127.0.0.1:7411`. */
  readonly url: string;
  /** An agent's (`wga_…`) or a person's (`wgp_…`) token. */
  readonly token: string;
  readonly fetch?: typeof fetch;
  /** Told before each pause of a proposal, upload or wait that is tried again; see `propose`. */
  readonly onRetry?: TransportOptions['onRetry'];
  /** For tests: resolves after `ms`, or as soon as `signal` aborts. */
  readonly sleep?: TransportOptions['sleep'];
  /** For tests: from 0 up to 1, by how much a pause is longer. */
  readonly random?: TransportOptions['random'];
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface WaitOptions extends CallOptions {
  /** At most 50,000; the gateway then answers with the present state. */
  readonly waitMs?: number;
}

export interface ListOptions extends CallOptions {
  readonly state?: readonly State[];
  readonly limit?: number;
  /** The `before` of the page before. */
  readonly before?: string;
}

export interface RowsOptions extends CallOptions, RowQuery {}

/** Every method throws `GatewayProblem` for a call that could not be taken. */
export interface Client {
  /** Measures a write and takes it back; nothing is proposed. */
  preview(draft: WriteBody, options?: CallOptions): Promise<Result>;
  /**
   * Proposes a write and waits up to `waitMs` (default 0) for it to settle. A lost reply is asked
   * for again by itself, which writes nothing twice: the gateway derives the key from the draft. A
   * gateway that is full, restarts or is away is tried again with growing pauses, 20 s in all.
   * Give `idempotencyKey` where the policy says that the operation may lawfully repeat; only a key
   * tells a repetition from a second write there. `{ steps }` proposes several writes as one: carried
   * out in order, the earlier ones taken back where a later one is refused.
   */
  propose(draft: WriteBody, options?: WaitOptions): Promise<Result>;
  /** Waits once for a proposal to settle (default: as long as the gateway holds a call, 50 s). */
  wait(id: string, options?: WaitOptions): Promise<Result>;
  status(id: string, options?: CallOptions): Promise<Result>;
  view(id: string, options?: CallOptions): Promise<ProposalView>;
  list(options?: ListOptions): Promise<ProposalPage>;
  /** Rows of a proposal, at most 1,000 at once; `left` says how many come after them. */
  rows(id: string, options?: RowsOptions): Promise<RowPage>;
  /** Asks a target something, as an agent; a refusal is an answer like any other. */
  read(body: ReadBody, options?: CallOptions): Promise<ReadResult>;
  cancel(id: string, options?: CallOptions): Promise<Result>;
  /** A person's yes or no to the digest that was on the screen. */
  approve(id: string, approval: ApprovalBody, options?: CallOptions): Promise<Result>;
  /** How a proposal in doubt ended, by an operator who looked at the targets. */
  resolve(id: string, resolution: ResolutionBody, options?: CallOptions): Promise<Result>;
  /** Proposes the inverse of an applied write. */
  rollback(id: string, options?: CallOptions): Promise<Result>;
  /**
   * Sends a file of rows for an `import` to come; kept for a day. `openAsBlob` of `node:fs` gives a file
   * that is not read into memory.
   */
  upload(
    content: Blob | Uint8Array<ArrayBuffer> | string,
    options: CallOptions & { readonly format: 'csv' | 'ndjson' },
  ): Promise<UploadAnswer>;
  stop(scope: FreezeScope, reason: string, options?: CallOptions): Promise<FreezeView>;
  /** One person's voice for the release; it is released where `releasedAt` is not null. */
  release(freezeId: string, reason: string, options?: CallOptions): Promise<FreezeView>;
  freezes(options?: CallOptions): Promise<FreezePage>;
  /** What the budgets have in use: to people all, or those of one agent; to an agent its own. */
  budgets(options?: CallOptions & { readonly agent?: string }): Promise<BudgetPage>;
  /** What is usual for an agent; for people. */
  baselines(agent: string, options?: CallOptions): Promise<BaselinePage>;
  issueCredential(holder: CredentialBody['holder'], options?: CallOptions): Promise<CredentialView>;
  /** Every credential, revoked ones too; for operators. */
  credentials(options?: CallOptions): Promise<CredentialPage>;
  revokeCredential(credentialId: string, options?: CallOptions): Promise<void>;
  /** The policy in force, with its text; for people. */
  policy(options?: CallOptions): Promise<PolicyView>;
  /** Policies that were in force, the last first. */
  policies(
    options?: CallOptions & { readonly limit?: number; readonly before?: number },
  ): Promise<PolicyPage>;
  /** Brings the text of the gateway's file into force; a weaker one takes the role `policy`. */
  applyPolicy(text: string, options?: CallOptions): Promise<PolicyApplied>;
  /** What the targets offer, with the form of the arguments. */
  operations(options?: CallOptions): Promise<OperationPage>;
  /** What depends on a resource, such as `public.invoices`; for people. */
  dependents(
    asked: { readonly resource: string; readonly target?: string },
    options?: CallOptions,
  ): Promise<DependentsView>;
  /** What the targets have to write to; for people. */
  resources(options?: CallOptions): Promise<ResourcePage>;
  /** What a policy would have decided on the proposals since a time; for operators and auditors. */
  replayPolicy(body: ReplayBody, options?: StepsOptions): Promise<ReplayReport>;
  /** What was proposed under a run, step by step; an agent is told what it proposed itself. */
  trace(run: string, options?: CallOptions): Promise<TracePage>;
  /** A policy drafted from what was really written, with its replay; for operators and auditors. */
  suggestPolicy(body: SuggestBody, options?: StepsOptions): Promise<SuggestAnswer>;
  gatewayStatus(options?: CallOptions): Promise<GatewayStatus>;
}

const WAIT_DEFAULT_MS = 50_000;

const MEDIA_TYPES = { csv: 'text/csv', ndjson: 'application/x-ndjson' } as const;

/** Makes a client of one gateway. It opens nothing and holds nothing but the token. */
export function createClient(options: ClientOptions): Client {
  const { url, token, onRetry } = options;
  const { fetch: fetchPort = fetch, sleep = sleepFor, random = anyNumber } = options;
  const transport: TransportOptions = { url, token, fetch: fetchPort, sleep, random, onRetry };
  const get = <Answer>(path: string, call: CallOptions = {}): Promise<Answer> =>
    send(transport, { method: 'GET', path, isRepeatable: true, signal: call.signal });
  const post = <Answer>(path: string, request: Partial<Request>): Promise<Answer> =>
    send(transport, { isRepeatable: false, ...request, method: 'POST', path });

  return {
    preview: (draft, call) =>
      post('/v1/previews', { body: draft, isRepeatable: true, signal: call?.signal }),
    propose: (draft, call) =>
      post(`/v1/proposals${query({ waitMs: call?.waitMs })}`, {
        body: draft,
        isRepeatable: true,
        isPatient: true,
        signal: call?.signal,
      }),
    wait: (id, call) =>
      send(transport, {
        method: 'GET',
        path: `${proposal(id)}/result${query({ waitMs: call?.waitMs ?? WAIT_DEFAULT_MS })}`,
        isRepeatable: true,
        isPatient: true,
        signal: call?.signal,
      }),
    status: (id, call) => get(`${proposal(id)}/result`, call),
    view: (id, call) => get(proposal(id), call),
    list: ({ signal, state, limit, before } = {}) =>
      get(`/v1/proposals${query({ state, limit, before })}`, { signal }),
    rows: (id, { signal, from, limit, resource, kind } = {}) =>
      get(`${proposal(id)}/rows${query({ from, limit, resource, kind })}`, { signal }),
    read: (body, call) => post('/v1/reads', { body, isRepeatable: true, signal: call?.signal }),
    cancel: (id, call) => post(`${proposal(id)}/cancel`, { signal: call?.signal }),
    approve: (id, approval, call) =>
      post(`${proposal(id)}/approvals`, { body: approval, signal: call?.signal }),
    resolve: (id, resolution, call) =>
      post(`${proposal(id)}/resolution`, { body: resolution, signal: call?.signal }),
    rollback: (id, call) => post(`${proposal(id)}/rollback`, { signal: call?.signal }),
    upload: (content, { format, signal }) =>
      post('/v1/uploads', {
        file: { content, type: MEDIA_TYPES[format] },
        isRepeatable: true,
        isPatient: true,
        signal,
      }),
    stop: (scope, reason, call) =>
      post('/v1/freezes', { body: { scope, reason }, signal: call?.signal }),
    release: (id, reason, call) =>
      post(`/v1/freezes/${encodeURIComponent(id)}/release`, {
        body: { reason },
        signal: call?.signal,
      }),
    freezes: (call) => get('/v1/freezes', call),
    budgets: ({ agent, signal } = {}) => get(`/v1/budgets${query({ agent })}`, { signal }),
    baselines: (agent, call) => get(`/v1/baselines${query({ agent })}`, call),
    issueCredential: (holder, call) =>
      post('/v1/credentials', { body: { holder }, signal: call?.signal }),
    credentials: (call) => get('/v1/credentials', call),
    revokeCredential: (id, call) =>
      post(`/v1/credentials/${encodeURIComponent(id)}/revoke`, { signal: call?.signal }),
    policy: (call) => get('/v1/policies/current', call),
    policies: ({ signal, limit, before } = {}) =>
      get(`/v1/policies${query({ limit, before })}`, { signal }),
    applyPolicy: (text, call) =>
      post('/v1/policies', { body: { text }, isRepeatable: true, signal: call?.signal }),
    operations: (call) => get('/v1/operations', call),
    dependents: ({ resource, target }, call) =>
      get(`/v1/dependents${query({ resource, target })}`, call),
    resources: (call) => get('/v1/resources', call),
    replayPolicy: (body, call) => ask(transport, { path: '/v1/policies/replay', body }, call),
    trace: (run, call) => get(`/v1/runs/${encodeURIComponent(run)}/trace`, call),
    suggestPolicy: (body, call) => ask(transport, { path: '/v1/policies/suggest', body }, call),
    gatewayStatus: (call) => get('/v1/status', call),
  };
}

function proposal(id: string): string {
  return `/v1/proposals/${encodeURIComponent(id)}`;
}

function query(
  members: Readonly<Record<string, string | number | readonly string[] | undefined>>,
): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(members)) {
    for (const each of [value ?? []].flat()) search.append(name, String(each));
  }
  return search.size === 0 ? '' : `?${search.toString()}`;
}

function anyNumber(): number {
  const [number = 0] = crypto.getRandomValues(new Uint32Array(1));
  return number / 2 ** 32;
}

function sleepFor(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, signal?.aborted === true ? 0 : ms);
    signal?.addEventListener('abort', wake);
  });
}
