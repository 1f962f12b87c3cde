/** A few lines of linear algebra; matrices are row after row in one array. */

/**
 * Solve A x = b for a symmetric positive definite A by Cholesky factors.
 * @param {Float64Array} a n × n, overwritten by its factor
 * @param {Float64Array[]} sides right-hand sides, overwritten by the solutions
 * @param {number} n
 */
export function solveInPlace(a, sides, n) {
  for (let j = 0; j < n; j++) {
    let pivot = a[j * n + j];
    for (let k = 0; k < j; k++) pivot -= a[j * n + k] ** 2;
    const root = Math.sqrt(Math.max(pivot, 1e-300));
    a[j * n + j] = root;
    for (let i = j + 1; i < n; i++) {
      let sum = a[i * n + j];
      for (let k = 0; k < j; k++) sum -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = sum / root;
    }
  }
  for (const b of sides) substitute(a, b, n);
}

/**
 * @param {Float64Array} factor
 * @param {Float64Array} b
 * @param {number} n
 */
function substitute(factor, b, n) {
  for (let i = 0; i < n; i++) {
    let sum = b[i];
    for (let k = 0; k < i; k++) sum -= factor[i * n + k] * b[k];
    b[i] = sum / factor[i * n + i];
  }
  for (let i = n - 1; i >= 0; i--) {
    let sum = b[i];
    for (let k = i + 1; k < n; k++) sum -= factor[k * n + i] * b[k];
    b[i] = sum / factor[i * n + i];
  }
}
