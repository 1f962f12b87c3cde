import assert from "node:assert/strict";
import { test } from "node:test";
import { groupsOf } from "../static/core/template.js";
import { imagesAmong } from "../static/lib/dropped.js";

const names = Array.from({ length: 14 }, (_, i) => `p${i}`);

test("neighbours on one contour are a group, and so are those on none", () => {
  const contours = [{ name: "jaw", points: [0, 1, 2, 3], closed: false }, { name: "eye", points: [6, 7, 8], closed: true }];
  assert.deepEqual(groupsOf({ names, contours }), [
    { name: "jaw", first: 0, count: 4 }, { name: "other landmarks", first: 4, count: 2 },
    { name: "eye", first: 6, count: 3 }, { name: "other landmarks", first: 9, count: 5 },
  ]);
});

test("few landmarks, or all on one contour, have no groups", () => {
  const whole = [{ name: "wing", points: names.map((_, i) => i), closed: true }];
  assert.deepEqual(groupsOf({ names, contours: whole }), []);
  assert.deepEqual(groupsOf({ names, contours: [] }), []);
  assert.deepEqual(groupsOf({ names: names.slice(0, 5), contours: [{ name: "jaw", points: [0, 1], closed: false }] }), []);
});

test("of dropped files, images are taken in the order of their numbers; hidden files don't count", () => {
  const file = (/** @type {string} */ path, type = "") => ({ path, file: /** @type {File} */ ({ type }) });
  const { images, others } = imagesAmong([
    file("photos/10.JPG"), file("photos/2.tif"), file("photos/odd", "image/png"), file("photos/notes.txt"), file("photos/.DS_Store"),
    file("__MACOSX/._2.tif"),
  ]);
  assert.deepEqual(images.map(({ path }) => path), ["photos/2.tif", "photos/10.JPG", "photos/odd"]);
  assert.equal(others, 1);
});
