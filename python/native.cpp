// vit_kernels._native: launches the Ascend C kernels on the twin from NumPy arrays and returns what came out, what was
// found and what it would cost. bfloat16 travels as uint16 arrays.
#include <dlfcn.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "run.h"

namespace py = pybind11;

namespace {

std::map<std::string, std::map<std::string, twin::Site>> last_sites;  // by operator

py::dtype NumpyType(const std::string& dtype) { return py::dtype(dtype == "bfloat16" ? "uint16" : dtype); }

twin::Mode ParseMode(const std::string& mode) {
  if (mode == "eager") return twin::Mode::kEager;
  if (mode == "late") return twin::Mode::kLate;
  if (mode == "random") return twin::Mode::kRandom;
  if (mode == "cost") return twin::Mode::kCost;
  throw py::value_error("mode is '" + mode + "'; expected eager, late, random or cost");
}

py::dict Describe(const twin::Diagnostic& d) {
  py::dict out;
  out["rule"] = twin::Name(d.rule);
  out["message"] = d.message;
  out["file"] = d.here.file;
  out["line"] = d.here.line;
  out["other_file"] = d.other.file;
  out["other_line"] = d.other.line;
  out["core"] = d.core;
  out["count"] = d.count;
  return out;
}

twin::TensorArg ParseInput(const py::handle& item, const std::string& dtype, size_t index, bool cost, py::list& keep) {
  twin::DtypeBytes(dtype);  // throws for an unknown one
  twin::TensorArg arg;
  arg.dtype = dtype;
  if (cost && py::isinstance<py::tuple>(item)) {  // a shape is enough to be priced
    for (const py::handle& d : item) arg.shape.push_back(d.cast<int64_t>());
    return arg;
  }
  const py::array a = py::array::ensure(item, py::array::c_style);
  if (!a) {
    PyErr_Clear();
    throw py::value_error("input " + std::to_string(index) + " is no array");
  }
  if (!a.dtype().equal(NumpyType(dtype))) {
    throw py::value_error("input " + std::to_string(index) + " has dtype " + py::str(a.dtype()).cast<std::string>() +
                          "; '" + dtype + "' travels as " + py::str(NumpyType(dtype)).cast<std::string>());
  }
  for (py::ssize_t d = 0; d < a.ndim(); ++d) arg.shape.push_back(a.shape(d));
  arg.data = const_cast<void*>(a.data());
  keep.append(a);
  return arg;
}

py::dict TwinRun(const std::string& op, const py::sequence& inputs, const std::vector<std::string>& dtypes,
                 const std::map<std::string, double>& attrs, const std::string& sku, const std::string& mode,
                 uint64_t seed, bool strict, const std::vector<std::string>& mute, int mmad_order, bool timeline,
                 uint64_t max_steps) {
  if (inputs.size() != dtypes.size()) {
    throw py::value_error("inputs has " + std::to_string(inputs.size()) + " entries, dtypes " +
                          std::to_string(dtypes.size()));
  }
  if (mmad_order < 0 || mmad_order > 2) {
    throw py::value_error("mmad_order is " + std::to_string(mmad_order) + "; expected 0 (sequential), 1 (tree), 2 (reversed)");
  }
  twin::Settings settings;
  settings.mode = ParseMode(mode);
  settings.seed = seed;
  settings.strict = strict;
  settings.mmad_order = mmad_order;
  settings.timeline = timeline;
  settings.max_steps = max_steps;
  settings.mute.insert(mute.begin(), mute.end());
  py::list keep;
  std::vector<twin::TensorArg> args;
  for (size_t i = 0; i < dtypes.size(); ++i) {
    args.push_back(ParseInput(inputs[i], dtypes[i], i, settings.mode == twin::Mode::kCost, keep));
  }
  twin::Result r;
  {
    py::gil_scoped_release release;
    r = twin::RunOp(op, args, attrs, sku, settings);
  }
  py::dict out;
  py::list outputs, output_dtypes, output_shapes, diagnostics, notes;
  for (size_t i = 0; i < r.specs.size(); ++i) {
    output_dtypes.append(r.specs[i].dtype);
    output_shapes.append(py::tuple(py::cast(r.specs[i].shape)));
    if (r.outputs.empty()) continue;
    py::array a(NumpyType(r.specs[i].dtype), r.specs[i].shape);
    std::memcpy(a.mutable_data(), r.outputs[i].data(), r.outputs[i].size());
    outputs.append(a);
  }
  for (const twin::Diagnostic& d : r.diagnostics) diagnostics.append(Describe(d));
  for (const twin::NoteText& n : r.notes) {
    py::dict note;
    note["kind"] = n.kind;
    note["message"] = n.message;
    note["file"] = n.here.file;
    note["line"] = n.here.line;
    notes.append(note);
  }
  py::dict estimate = py::cast(r.estimate);
  if (!r.estimate.empty()) estimate["binding"] = r.binding;
  if (timeline) {
    py::list bars;
    for (const twin::TraceEvent& e : r.trace) {
      bars.append(py::make_tuple(r.core_names[size_t(e.core)], twin::Name(e.pipe), e.name, e.begin, e.end));
    }
    estimate["timeline"] = bars;
  }
  const char* const modes[] = {"AIV_ONLY", "AIC_ONLY", "MIX_AIV_1_0", "MIX_AIC_1_0", "MIX_AIC_1_1", "MIX_AIC_1_2"};
  py::dict plan;
  plan["blocks"] = r.blocks;
  plan["tiling_key"] = r.tiling_key;
  plan["workspace_bytes"] = r.workspace_bytes;
  plan["mode"] = modes[int(r.mode)];
  out["outputs"] = outputs;
  out["output_dtypes"] = output_dtypes;
  out["output_shapes"] = output_shapes;
  out["diagnostics"] = diagnostics;
  out["notes"] = notes;
  out["counters"] = r.counters;
  out["estimate"] = estimate;
  out["plan"] = plan;
  last_sites[op] = std::move(r.sites);
  return out;
}

py::list TwinSyncSites(const std::string& op) {
  py::list out;
  const auto it = last_sites.find(op);
  if (it == last_sites.end()) throw py::value_error("op '" + op + "' has not run in this process");
  for (const auto& [name, site] : it->second) {
    py::dict d;
    d["site"] = name;
    d["kind"] = site.kind;
    d["file"] = site.loc.file;
    d["line"] = site.loc.line;
    d["executions"] = site.executions;
    d["useless"] = site.useless;
    out.append(d);
  }
  return out;
}

void TwinLoad(const std::string& path) {
  if (!dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) throw py::value_error(std::string("cannot load: ") + dlerror());
}

}  // namespace

PYBIND11_MODULE(_native, m) {
  m.doc() = "The Ascend C kernels on the CPU twin.";
  m.def("twin_ops", &twin::OpNames, "Names of the operators the twin can launch.");
  m.def("twin_run", &TwinRun, py::arg("op"), py::arg("inputs"), py::arg("dtypes"), py::arg("attrs") = py::dict(),
        py::arg("sku") = "910B1", py::arg("mode") = "eager", py::arg("seed") = 0, py::arg("strict") = true,
        py::arg("mute") = std::vector<std::string>(), py::arg("mmad_order") = 0, py::arg("timeline") = false,
        py::arg("max_steps") = 400000000,
        "Launches an operator. `inputs` are C-contiguous arrays in the order of the kernel's arguments (an absent\n"
        "optional tensor has shape (0,); in mode 'cost' a tuple of dimensions will do), `dtypes` their types.\n"
        "Returns a dict: outputs, output_dtypes, output_shapes, diagnostics, notes, counters, estimate (microseconds,\n"
        "never measured; both empty in modes 'late' and 'random'), plan. Raises ValueError for an unknown op, SKU, mode, or inputs the operator rejects.");
  m.def("twin_sync_sites", &TwinSyncSites, py::arg("op"),
        "Synchronisation and InitBuffer calls seen in the last run of `op`: dicts of site, kind, file, line, executions,\n"
        "useless. `mute` takes a site (or \"file:line\", everything there): the call is skipped, an InitBuffer halved.");
  m.def("twin_load", &TwinLoad, py::arg("path"), "Loads a shared library whose TWIN_REGISTER adds operators.");
}
