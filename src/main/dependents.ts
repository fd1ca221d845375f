import type { DependentsView } from '../model/dependents.ts';
import type { Policy } from '../model/policy.ts';
import type { Target } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { apartFrom, dependentsOf } from '../policy/stages/dependents.ts';

/**
 * Says what depends on one resource: what the target knows of itself, and what the policy names.
 * Without a target the only one there is counts. Problem `request-invalid` where it is not clear
 * which is meant, or the target knows no such resource.
 */
export async function dependentsView(
  targets: ReadonlyMap<string, Target>,
  policy: Policy,
  asked: { readonly target?: string; readonly resource: string },
): Promise<DependentsView> {
  const target = targetOf(targets, asked.target);
  const { resource } = asked;
  const structure = target.structure === undefined ? null : await target.structure(resource);
  if (structure !== null && 'code' in structure) {
    throw new Problem('request-invalid', structure.reason, { at: '/resource' });
  }
  const dependents = dependentsOf(policy.dependents, target.name, [resource]);
  const coupling = 1 - apartFrom(dependents);
  return { target: target.name, resource, structure, dependents, coupling };
}

function targetOf(targets: ReadonlyMap<string, Target>, name: string | undefined): Target {
  const [only, ...others] = targets.values();
  const found = name === undefined ? only : targets.get(name);
  if (found !== undefined && (name !== undefined || others.length === 0)) return found;
  const known = [...targets.keys()].map((each) => `\`${each}\``).join(', ') || 'none';
  throw new Problem(
    'request-invalid',
    `expected one of the targets ${known}; name it as \`target\`, at the command line \`--target\``,
    {
      at: '/target',
    },
  );
}
