"""The playground: a page in which a network learns, its messages, and the server that answers.

A message is an object of JSON, ``{"do": NAME, …}``; so is the reply. A reply to what is refused is
``{"error": SENTENCE, "where": PLACE}``, and nothing has changed then. Any reply may have
``"notes": [SENTENCE, …]``, warnings. Where a library is not installed, the error has ``"missing":
MODULE``; a page without a server loads it, and asks again. An array is ``{"shape": [50, 50],
"dtype": "float32", "data": BASE64}``, little endian, of float32, uint8 or int32; a number that is
not finite is null.

STATE is a configuration file as JSON: the tables "data", "network", "optimizer" and "training",
with the names and rules of TOML files. ``network.shape`` may be left out. Callbacks, checkpoints
and folds are of no use here, and are left out, with a note; so is a warm start whose weights are
not there, or don't fit. The training may go on after its last epoch. A network whose frames would
take too long is refused before it is made (`layerkit.play.sizes`), with its largest layer as PLACE.

``{"do": "catalogue"}``
    ``{"layers": {NAME: PART}, "losses": …, "optimizers": …, "schedules": …, "initializers": …,
    "data": {NAME: STATE}, "start": STATE}``. PART is ``{"group", "says", "options": [OPTION]}``;
    OPTION is ``{"name", "required", "says"}`` and what the JSON Schema says of it: "type", "enum",
    "minimum", "exclusiveMaximum", …, "default"; ``"optional": true`` where null is allowed;
    ``"of": CLASS`` where it is an object, such as an Initializer; "anyOf" where it may be one of
    several kinds. "start" is the state to begin with.
``{"do": "new", "state": STATE}``
    Builds all anew. ``{"state": STATE, "data": DATA, "layers": [LAYER], "frame": FRAME}``.
    DATA is ``{"name", "says", "kind": "plane"|"curve"|"images"|"table", "target", "classes",
    "targets", "features", "numbers": [columns that a map can be over], "columns": those of the map,
    "bounds": [[low, high], …] of these, "range": [low, high] of targets that are numbers, "image":
    [height, width], "bytes": whether x are, "train": POINTS, "test": POINTS, "validation": POINTS
    if there are any}``. POINTS is ``{"x": array (N, columns), "t": array (N,), "size"}``: at most
    2,000 of them; of images, and where no columns are chosen, 100 whole examples. Of several
    targets, t, maps and predictions are of the first.
    LAYER is ``{"address", "type", "says", "output": shape, "parameters", "reads": [addresses of
    layers, or "input"]}``; a Table has the names of its "features" too.
    With ``"keep": true`` the training goes on where it is if only the optimizer and the loss are
    others, and nothing has diverged; the reply is then without "data".
``{"do": "train", "steps": 10, "frame": true}``
    Trains for so many steps, batches, across the ends of epochs. ``{"frame": FRAME}``; with
    ``"frame": false`` only ``{"step", "epoch", "diverged"}``.
``{"do": "epoch"}``
    Trains to the end of the epoch. ``{"frame": FRAME}``.
``{"do": "reset"}``
    Back to the initial weights, those of the same seed. ``{"frame": FRAME}``.
``{"do": "frame"}``
    ``{"frame": FRAME}``. With ``"example": i`` it is that training example whose activations are
    shown from now on. With ``"columns": [i, j]`` the map is over these columns of a table from now
    on, the others at their medians, and the reply has "data" too; with [] there is none, and
    activations are shown. At first it is over the first two columns with numbers.

FRAME is ``{"step", "epoch": epochs that are complete, "batch", "batches", "epochs": as planned,
"lr": of the next step, "train_loss",
"test_loss", "train_accuracy", "test_accuracy", …, "map": MAP, "neurons": {ADDRESS: NEURONS},
"weights": {ADDRESS: array}, "example", "diverged": null or {"says", "address": of the layer or
parameter with the first value that is not finite, or "loss", "kind"}}``.
Losses and metrics are over at most 2,000 examples of each set.
MAP is null for images, and where no columns are chosen. Of classes in the plane it is ``{"winner":
uint8 (50, 50), "probability": float32 (50, 50)}``, of numbers ``{"values": float32 (50, 50)}``, row
0 at the top; of one column they are (100,).
NEURONS is ``{"values": uint8 (units, 50, 50) or (units, 100), "low": [numbers], "high": [numbers],
"units"}``: 0 is the low of its unit, 255 the high; at most 64 units are sent, "units" says how
many there are. Where there is no map it is ``{"activations": float32 of the layer's shape}``.
ADDRESS of weights is that of the parameter, such as "body.layers.0.W"; large ones are left out.

``{"do": "csv", "name": "flats.csv", "text": TEXT, "encoding": "cp1252", "target": COLUMN}``
    Begins with the user's own table: a network that suits it, to predict the target, by default
    the column "target", "label", "class" or "y", or else the last one. What "new" replies, and
    ``{"columns": [names], "target": COLUMN, "told": what is learned from, in lines}``.
    ``data.path`` is then that name, here alone. The text comes from a file in the encoding, by
    default UTF-8.
``{"do": "predict", "x": [numbers]}``
    ``{"prediction": class name or number, "probabilities": [numbers] of classes, "outputs",
    "activations": {ADDRESS: array}}``. The pixels of images are from 0 to 1.
``{"do": "inspect", "address": "body.layers.0"}``
    What this layer, "loss" or "optimizer" does in the next step, or after a divergence in the step
    that failed; with ``"example": i`` for that training example alone. ``{"address", "outline":
    [{"phase", "address", "layer", "finite"}] of all steps in order, "steps": [STEP] of this part,
    "arrays": [array with "sent", the shape of what of it is sent, "statistics" of its finite
    numbers, "lost", how many others there are, and "whole"],
    "sources": [{"title", "lines"}], "class": {"name", "source"}}``.
    STEP is ``{"phase", "address", "layer", "formula", "given": {NAME: number of the array}, "made",
    "code": number of the source, "moments": [{"reads", "writes", "source", "lines": [start,
    stop]}]}``: its statements. A layer has the update of its parameters as its last step.
``{"do": "source", "class": "ReLU"}``
    ``{"class", "source", "original": that of layerkit's own class, or null}``.
``{"do": "edit", "class": "ReLU", "source": "class ReLU(Rectifier): …"}``
    The class has this source in this session from now on, and the training goes on with it from
    its present parameters. Without "class", it is the user's own. ``{"class", "used":
    [ADDRESS], "check": [{"law", "ok": true, false or null, "says"}], the table of `check_layer` or
    its sisters, "says": what begins anew, "state", "layers", "frame"}``. STATE then has
    ``"code": {CLASS: SOURCE}``.
``{"do": "revert", "class": "ReLU"}``
    The class is layerkit's own again. ``{"class", "says", "state", "layers", "frame"}``.
``{"do": "home"}``
    ``{"files": [{"name", "text" or "base64"}], "runs": {NAME: COMMAND}, "note": what is not
    possible}``: the experiment as a configuration file, Python and unrolled NumPy.
"""
