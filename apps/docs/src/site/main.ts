import { writeSite } from './write-site.ts';

const { pages } = await writeSite();
process.stdout.write(`${pages} pages written\n`);
