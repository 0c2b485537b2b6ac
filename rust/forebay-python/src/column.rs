//! A column of numbers that Python reads in place.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr;

use forebay_core::RecordBatch as CoreBatch;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::batch::RecordBatch;

/// The columns of a batch.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// Offsets.
    Offsets,
    /// Timestamps, in microseconds since 1970 UTC.
    Timestamps,
}

impl Which {
    fn of(self, batch: &CoreBatch) -> &[i64] {
        match self {
            Which::Offsets => batch.offsets(),
            Which::Timestamps => batch.timestamps(),
        }
    }
}

/// Exports one column of a batch by the buffer protocol (PEP 3118): int64, one dimension, read-only.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct Column {
    batch: Py<RecordBatch>,
    which: Which,
    shape: [ffi::Py_ssize_t; 1],
    strides: [ffi::Py_ssize_t; 1],
}

impl Column {
    /// Makes the export of one column.
    pub fn new(py: Python<'_>, batch: Py<RecordBatch>, which: Which) -> Self {
        let length = which.of(&batch.bind(py).get().batch).len();
        // A vector's length always fits.
        let length = ffi::Py_ssize_t::try_from(length).unwrap_or(ffi::Py_ssize_t::MAX);
        Self { batch, which, shape: [length], strides: [size_of::<i64>() as ffi::Py_ssize_t] }
    }
}

#[pymethods]
impl Column {
    // SAFETY: the caller of the slot passes a valid, writable view, as PEP 3118 demands. What the view points to lives
    // as long as it does: `view.obj` holds a reference to this object, which is frozen, which holds one to the batch,
    // which is frozen too and never changes its vectors. The view is read-only, and `format` is static.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
            // SAFETY: see above; a failed export leaves no object behind.
            unsafe { (*view).obj = ptr::null_mut() };
            return Err(PyBufferError::new_err("a record batch is read-only"));
        }
        let this = slf.get();
        let numbers = this.which.of(&this.batch.bind(slf.py()).get().batch);
        // SAFETY: see above.
        unsafe {
            (*view).buf = numbers.as_ptr() as *mut c_void;
            (*view).len = size_of_val(numbers) as ffi::Py_ssize_t;
            (*view).readonly = 1;
            (*view).itemsize = size_of::<i64>() as ffi::Py_ssize_t;
            (*view).format = c"q".as_ptr().cast_mut();
            (*view).ndim = 1;
            (*view).shape = this.shape.as_ptr().cast_mut();
            (*view).strides = this.strides.as_ptr().cast_mut();
            (*view).suboffsets = ptr::null_mut();
            (*view).internal = ptr::null_mut();
            (*view).obj = slf.clone().into_ptr();
        }
        Ok(())
    }
}
