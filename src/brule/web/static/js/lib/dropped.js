/** Files that were dropped or chosen, those in dropped folders, too. */

/** @typedef {{path: string, file: File}} Dropped the path begins with the name of the dropped folder, if there is one */

const IMAGE = /\.(jpe?g|png|tiff?|bmp|webp|gif|heic|heif|dcm|pgm|ppm|pbm)$/i;

/**
 * All files of a drop. To be called before anything is awaited: the browser forgets a drop as soon as its event is over.
 * @param {DataTransfer | null} transfer
 * @returns {Promise<Dropped[]>}
 */
export async function droppedFiles(transfer) {
  const items = [...(transfer?.items ?? [])].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry());
  if (!entries.some(Boolean)) return [...(transfer?.files ?? [])].map((file) => ({ path: file.name, file }));
  const found = await Promise.all(entries.map((entry) => (entry ? within(entry, "") : [])));
  return found.flat();
}

/**
 * The files of a chooser of files or of a folder.
 * @param {FileList | null} files
 * @returns {Dropped[]}
 */
export function chosenFiles(files) {
  return [...(files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/**
 * Images, in the order of their names, and how many other files there are; hidden files aren't counted.
 * @param {Dropped[]} files
 */
export function imagesAmong(files) {
  const shown = files.filter(({ path }) => !path.split("/").some((part) => part.startsWith(".")));
  const images = shown.filter(({ file, path }) => file.type.startsWith("image/") || IMAGE.test(path));
  images.sort((a, b) => a.path.localeCompare(b.path, "en", { numeric: true }));
  return { images, others: shown.length - images.length };
}

/**
 * @param {FileSystemEntry} entry
 * @param {string} above
 * @returns {Promise<Dropped[]>}
 */
async function within(entry, above) {
  const path = above + entry.name;
  if (entry.isFile) {
    const own = /** @type {FileSystemFileEntry} */ (entry);
    const file = await new Promise((resolve, reject) => own.file(resolve, reject));
    return [{ path, file }];
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  const found = [];
  for (;;) {
    const some = /** @type {FileSystemEntry[]} */ (await new Promise((resolve, reject) => reader.readEntries(resolve, reject)));
    if (!some.length) return found; // a browser gives a hundred at a time
    for (const one of some) found.push(...(await within(one, `${path}/`)));
  }
}
