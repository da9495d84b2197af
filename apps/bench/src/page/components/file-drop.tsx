import { useSignal } from '@preact/signals';

/** A place to drop files on, which opens the system's dialog when it is clicked. */
export function FileDrop({
  text,
  accept,
  multiple = false,
  onFiles,
}: {
  readonly text: string;
  readonly accept?: string;
  readonly multiple?: boolean;
  readonly onFiles: (files: readonly File[]) => void;
}) {
  const over = useSignal(false);
  const take = (files: FileList | null | undefined) => {
    if (files && files.length > 0) onFiles([...files]);
  };
  return (
    <label
      class={`drop ${over.value ? 'over' : ''}`}
      onDragOver={(event) => {
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={() => {
        over.value = false;
      }}
      onDrop={(event) => {
        event.preventDefault();
        over.value = false;
        take(event.dataTransfer?.files);
      }}
    >
      {text}
      <input
        type="file"
        class="visually-hidden"
        accept={accept}
        multiple={multiple}
        onChange={({ currentTarget }) => {
          take(currentTarget.files);
          // The same file may be chosen again, after it was mended.
          currentTarget.value = '';
        }}
      />
    </label>
  );
}
