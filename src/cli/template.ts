/** The `writegate.yaml` that `init` writes: sensible bounds, and a reason beside each. */

export interface TemplateOptions {
  /** The person who operates and approves. */
  readonly person: string;
  readonly agent: string;
  /** Where the target's URL comes from: `${env:…}` or `${file:…}`, never the URL itself. */
  readonly urlReference: string;
}

/** Writes the file's text. */
export function configurationTemplate({ person, agent, urlReference }: TemplateOptions): string {
  return `# What agents may write, and who must agree. The gateway reads this file again when it
# changes; while it does not load, the last good version stays in force.
version: 1
environment: production
listen: 127.0.0.1:7878

# active decides and enforces; observe evaluates and records, and lets nothing through.
mode: active

targets:
  crm:
    kind: postgres
    # A role with only the rights that agents may ever need. \`writegate add postgres URL --name crm\`
    # makes it, with those for reads, evidence and taking back; docs/guide/operator.md has the SQL.
    url: ${JSON.stringify(urlReference)}
    schemas: [public]
    # Only these tables; without the line, every table of the schemas.
    # tables: [public.customers, public.invoices]
    # Columns that hold money: then limits and budgets on value count what a write moves.
    # value:
    #   - {table: public.invoices, column: total, currency: GBP}

people:
  ${JSON.stringify(person)}:
    # An operator configures and stops; only an approver decides on what waits.
    roles: [operator, approver]

agents:
  ${agent}:
    # The person who answers for the agent. They may not approve what it proposes, so name one
    # once a second person can.
    # owner: ${JSON.stringify(person)}
    permissions:
      # read-only is the default; confirm asks people first; autonomous writes within the bounds.
      - {target: crm, class: [create, update], tier: autonomous}

# Rows can be inserted and updated. Deletes are refused unless a permission names them with tier
# confirm; dropping and truncating is refused whatever this file says.
rules:
  - id: routine-writes
    effect: permit
    match: {target: crm, class: [create, update]}
    reason: routine inserts and updates

# Hard bounds on what a write was measured to do. No approval lifts them.
limits:
  - name: records
    recordsMax: 1000
  - name: value
    valueMax: {GBP: "100000.00"}

# Over one of these, people decide.
thresholds:
  - name: many-records
    recordsOver: 100
  - name: large-value
    valueOver: {GBP: "10000.00"}

# Bounds on what each agent writes in any minute, hour or day.
budgets:
  - {name: writes-per-minute, per: agent, measure: writes, window: minute, max: 30}
  - {name: records-per-hour, per: agent, measure: records, window: hour, max: 2000}
  - {name: records-per-day, per: agent, measure: records, window: day, max: 10000}

# The same arguments again within the window are a duplicate, not a second write.
duplicates:
  window: 24h

# Who must agree. Steps are asked in order; quorum counts distinct people.
routes:
  default:
    steps:
      - {quorum: 1}
    expiresAfter: 30m
`;
}
