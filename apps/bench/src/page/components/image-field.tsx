import { pixelsOf, rawImage } from '../raw-image.ts';
import { change, ownImage, promptImage, setup, trouble } from '../store.ts';
import { FileDrop } from './file-drop.tsx';
import { PixelCanvas } from './pixel-canvas.tsx';

/** The image that a model sees: one of the user's, or a drawn example. */
export function ImageField() {
  const name = ownImage.value?.name ?? `example ${setup.value.example + 1}`;
  return (
    <div class="picture">
      <figure>
        <PixelCanvas pixels={pixelsOf(promptImage.value)} label={`The image: ${name}`} />
        <figcaption>{name}</figcaption>
      </figure>
      <div class="choices">
        <FileDrop
          text="Drop an image here, or click to choose"
          accept="image/*"
          onFiles={([file]) => void take(file)}
        />
        <button
          type="button"
          class="quiet"
          onClick={() => {
            if (ownImage.value) ownImage.value = undefined;
            else change({ example: setup.value.example + 1 });
          }}
        >
          {ownImage.value ? 'An example' : 'Another example'}
        </button>
      </div>
    </div>
  );
}

async function take(file: File | undefined): Promise<void> {
  if (!file) return;
  try {
    ownImage.value = { name: file.name, image: await rawImage(file) };
    trouble.value = undefined;
  } catch (error) {
    trouble.value = {
      kind: 'failed',
      title: `${file.name} is no image that this browser can read`,
      detail: error instanceof Error ? error.message : String(error),
      advice: 'Choose a PNG, JPEG or WebP file. The image stays as it was.',
    };
  }
}
