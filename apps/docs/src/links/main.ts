import { join } from 'node:path';
import { workspace } from '../workspace.ts';
import { deadLinks } from './check-links.ts';
import { deadSiteLinks } from './check-site.ts';

/* Fails where a link of the repository's Markdown or of the built site leads nowhere. */
const dead = [...deadLinks(), ...deadSiteLinks(join(workspace, 'apps', 'docs', 'dist'), process.env.DOCS_BASE ?? '/')];
for (const line of dead) process.stderr.write(`${line}\n`);
process.stdout.write(`links checked: ${dead.length} dead\n`);
process.exitCode = dead.length > 0 ? 1 : 0;
