import type { PeerRow } from '../result-file/types.ts';
import { formatMeasure, formatNumber, formatShare } from './format.ts';

/** A column of the table of other engines. */
export interface PeerColumn {
  readonly header: string;
  readonly numeric: boolean;
  readonly cell: (row: PeerRow) => string;
}

const accuracy = (error: number | null, { agreement }: PeerRow): string =>
  error === null
    ? agreement === undefined
      ? ''
      : `${formatShare(agreement)} of tokens equal`
    : error.toExponential(1);

export const peerColumns: readonly PeerColumn[] = [
  { header: 'Work', numeric: false, cell: ({ work }) => work },
  { header: 'Engine', numeric: false, cell: ({ peer }) => peer },
  { header: 'Its time (ms)', numeric: true, cell: ({ peerMs }) => formatMeasure(peerMs, formatNumber) },
  { header: 'Ours (ms)', numeric: true, cell: ({ oursMs }) => formatMeasure(oursMs, formatNumber) },
  { header: 'Ratio', numeric: true, cell: ({ ratio }) => `${formatNumber(ratio)}x` },
  { header: 'Its error', numeric: true, cell: (row) => accuracy(row.peerError, row) },
  { header: 'Our error', numeric: true, cell: (row) => accuracy(row.oursError, row) },
  {
    header: 'Remark',
    numeric: false,
    cell: ({ judged, remark = '' }) => (judged ? remark : `outside reference: ${remark}`),
  },
];
