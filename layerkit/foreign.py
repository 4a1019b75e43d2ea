"""Names in PyTorch, Keras and scikit-learn, and what to write here.

Read when an unknown name was used: a class, an option, an attribute or a metric.
"""

from collections.abc import Collection

SYNONYMS = {
    # layers
    "Dense": "Linear LazyLinear FullyConnected",
    "BatchNorm": "BatchNormalization BatchNorm1d",
    "LayerNorm": "LayerNormalization",
    "GroupNorm": "GroupNormalization",
    "RMSNorm": "RMSNormalization",
    "Standardize": "Normalization StandardScaler",
    "Table": "ColumnTransformer FeatureSpace",
    "Category": "OneHotEncoder OrdinalEncoder StringLookup CategoryEncoding",
    "Concat": "Concatenate",
    "Reshape": "Unflatten",
    "SiLU": "Swish",
    "HardSwish": "HardSiLU",
    "Sigmoid": "Logistic",
    # losses
    "SoftmaxCrossEntropy": "CrossEntropy CrossEntropyLoss NLLLoss LogLoss CategoricalCrossEntropy "
    "SparseCategoricalCrossEntropy",
    "BinaryCrossEntropy": "BCELoss BCEWithLogitsLoss",
    "Focal": "CategoricalFocalCrossEntropy",
    "MeanSquaredError": "MSE MSELoss SquaredError",
    "MeanAbsoluteError": "MAE L1Loss AbsoluteError",
    "Huber": "HuberLoss SmoothL1Loss",
    "Quantile": "PinballLoss",
    "Poisson": "PoissonNLLLoss",
    "KLDivergence": "KLDivLoss",
    "CosineSimilarity": "CosineEmbeddingLoss",
    # initializers
    "GlorotUniform": "XavierUniform Xavier Glorot",
    "GlorotNormal": "XavierNormal",
    "HeUniform": "KaimingUniform",
    "HeNormal": "KaimingNormal Kaiming He",
    "TruncatedNormal": "TruncNormal",
    "Normal": "RandomNormal",
    "Uniform": "RandomUniform",
    "Eye": "Identity",
    # schedules
    "StepSchedule": "StepLR",
    "MultiStepSchedule": "MultiStepLR PiecewiseConstantDecay",
    "ExponentialSchedule": "ExponentialLR ExponentialDecay",
    "InverseTimeSchedule": "InverseTimeDecay",
    "InverseSqrtSchedule": "Noam NoamSchedule",
    "PolynomialSchedule": "PolynomialLR PolynomialDecay",
    "CosineSchedule": "CosineAnnealingLR CosineDecay",
    "CosineRestartsSchedule": "CosineAnnealingWarmRestarts CosineDecayRestarts",
    "OneCycleSchedule": "OneCycleLR",
    "CyclicSchedule": "CyclicLR",
    "ChainedSchedule": "SequentialLR",
    # callbacks
    "CSVLog": "CSVLogger",
    "ProgressBar": "ProgbarLogger",
    "StopOnNonFinite": "TerminateOnNaN",
    # options
    "lr": "learning_rate learning_rate_init",
    "beta": "momentum",
    "beta1": "b1 beta_1",
    "beta2": "b2 beta_2",
    "eps": "epsilon",
    "clip_norm": "clipnorm",
    "clip_value": "clipvalue clip_value_max",
    "rate": "p",
    "bias": "use_bias",
    "axis": "dim",
    "ignore_label": "ignore_index ignore_class",
    "patience": "n_iter_no_change",
    "min_delta": "threshold",
    "path": "filepath filename",
    "std": "stddev",
    "low": "minval",
    "high": "maxval",
    "every": "step_size",
    "steps": "T_max decay_steps total_steps",
    "period": "T_0 first_decay_steps",
    "growth": "T_mult t_mul",
    "units": "out_features output_dim n_units",
    "init": "kernel_initializer",
    "epochs": "n_epochs num_epochs max_epochs max_iter",
    "seed": "random_state",
    "warmup": "start_from_epoch",
    "validation_size": "validation_split validation_fraction",
    "clip_global_norm": "global_clipnorm max_norm",
    # metrics
    "validation_loss": "val_loss",
    "validation_accuracy": "val_accuracy val_acc",
    "train_loss": "loss",
    "train_accuracy": "accuracy acc",
    "roc_auc": "auc",
}
"""Our names, and what PyTorch, Keras or scikit-learn call the same thing."""


def key(name: str) -> str:
    """Return a name as names are compared: without capitals and underscores."""
    return name.lower().replace("_", "")


OURS = {key(theirs): ours for ours, names in SYNONYMS.items() for theirs in names.split()}

SCHEDULES = (
    'write schedules={"lr": CosineSchedule()}; in a file, schedules.lr = {type = "CosineSchedule"}'
)
FIT = "write fit(network, optimizer, x, t, epochs=10)"
STEP = "write train_step(network, optimizer, x, t)"
FREEZE = 'freeze by an option of the optimizer, rates={"body.layers.0.*": 0}'
FOUND = "the number of inputs is found by itself, from the shape of the network"
NO_PARAMETERS = "fit(network, optimizer, …) gives it the parameters"
PARAMETERS = "write network.params(): each has value and grad, and network.arena holds them all"
SAVE = 'write network.save("model.safetensors")'
LOAD = 'write Network.load("model.safetensors")'
EVALUATE = "write evaluate(network, x, t), which returns accuracy and loss"
OVERWRITTEN = "leave it out: gradients are overwritten, not added up"
OUTPUTS = "write network.predict(x), or network.outputs(x) for the outputs of its last layer"
EPOCHS = "the list that fit returns has a record for each epoch"
ADVICE = {
    "layerkit": {
        "Model NeuralNetwork MLPClassifier MLPRegressor": "Network",
        "nn models": "layers are here: layerkit.Dense, layerkit.Sequential",
        "optim": "optimizers are here: layerkit.Adam",
        "load load_model": LOAD,
        "save save_model": SAVE,
        "Conv1D Conv2D Conv2d LSTM GRU Transformer": "there are no such layers; you can write one",
        "DataLoader Dataset TensorDataset": "fit takes arrays, or any iterable of batches (x, t)",
        "no_grad GradientTape": "leave it out: predict and evaluate keep no gradients",
        "tensor Tensor from_numpy": "arrays are those of NumPy",
        "Data": "write from layerkit.data import Data",
        "ProgressBar CSVLog TensorBoard TimeLimit": "it is in layerkit.callbacks",
        "lr_range": "write from layerkit.training.lr_range import lr_range",
        "to_categorical one_hot LabelBinarizer LabelEncoder": "leave it out: SoftmaxCrossEntropy "
        "takes class numbers and names as they are",
        "train_test_split": "that of sklearn.model_selection",
        "manual_seed set_seed": "write fit(…, seed=0) and network.initialize(0)",
    },
    "Network": {
        "fit partial_fit": FIT,
        "train_on_batch": STEP,
        "compile": "the loss is given to Network, and the optimizer and metrics to fit",
        "train eval": "there is no mode to switch: it is on in fit(network, optimizer, x, t), and "
        "off in predict and evaluate",
        "evaluate score test_on_batch": EVALUATE,
        "forward call __call__ predict_on_batch": OUTPUTS,
        "predict_classes": "predict",
        "decision_function": "outputs",
        "backward": "write network.gradient(x, t): it returns the loss, and leaves the gradient in "
        "network.arena.grads",
        "zero_grad": OVERWRITTEN,
        "parameters named_parameters weights trainable_weights trainable_variables "
        "get_weights coefs_ intercepts_": PARAMETERS,
        "set_weights": "write network.arena.values[:] = …, or param.value = … for one of "
        "network.params()",
        "save_weights save_model": SAVE + "; copy.deepcopy(network) is a copy",
        "state_dict": SAVE + "; in PyTorch's layout, layerkit.state_dict(network)",
        "load_weights": LOAD,
        "load_state_dict": LOAD + "; from PyTorch, layerkit.load_state_dict(network, path)",
        "count_params num_params": "write network.arena.values.size; network.summary() has a table",
        "modules named_modules children": "layers",
        "add append": "give all layers at once: Network(Sequential([…]), loss, shape=…)",
        "to cuda cpu half float double": "it works on the CPU, in its option dtype",
        "optimizer": "fit takes it: fit(network, optimizer, x, t)",
        "history loss_ loss_curve_": EPOCHS,
        "trainable requires_grad requires_grad_": FREEZE,
        "input_shape input_dim n_features_in_": "shape",
        "output_shape": "write network.body.output_shape",
        "classes_": "classes",
        "to_json get_config": "write to_config(network)",
        "get_layer": 'write network["body.layers.0"]',
        "transform fit_transform": 'write network.outputs(x, of="body.layers.0")',
        "body=list body=tuple": "write Sequential([…])",
    },
    "Layer": {
        "__call__ call": "write layer.forward(x); in a network, network.predict(x)",
        "weight weights kernel get_weights set_weights coef_": "the array is layer.W.value",
        "parameters": "params",
        "activation Activation": "an activation is a layer of its own: "
        'Sequential([Dense(64), ReLU()]); in a file, {type = "ReLU"}',
        "Conv1D Conv2D Conv2d MaxPool2d MaxPooling2D LSTM GRU Transformer": "there are no such "
        "layers; you can write one",
        "Input InputLayer": "leave it out: the shape is that of the data",
        "in_features input_shape input_dim n_in num_features normalized_shape": FOUND,
        "name": "the address of a layer is its name, such as body.layers.0",
        "kernel_regularizer bias_regularizer": "write l2=… in the optimizer",
        "bias_initializer": "biases begin at 0",
        "inplace": "leave it out: a layer never changes its inputs",
        "axis": "layers work on the last axis",
        "device dtype": "dtype is an option of Network; all is done on the CPU",
        "trainable requires_grad": FREEZE,
        "seed": "it is drawn from the seed of fit, or of network.initialize(seed)",
    },
    "Sequential": {
        "*": "give them as a list: Sequential([Dense(64), ReLU()])",
        "add append": "give all layers at once: Sequential([Dense(64), ReLU()])",
        "fit compile evaluate predict": "a network is a body and a loss: "
        "Network(Sequential([…]), SoftmaxCrossEntropy(), shape=(64,))",
    },
    "Dense": {"init=int": FOUND + ": Dense(64)"},
    "BatchNorm": {"momentum=int": "the number of features is found by itself: BatchNorm()"},
    "LayerNorm": {"*": "the number of features is found by itself: LayerNorm()"},
    "RMSNorm": {"*": "the number of features is found by itself: RMSNorm()"},
    "LeakyReLU": {"alpha": "negative_slope"},
    "Embedding": {"input_dim num_embeddings": "n", "output_dim embedding_dim": "dim"},
    "Flatten": {"start_dim end_dim": "all axes but that of the batch become one"},
    "Loss": {
        "__call__": "write loss.mean(z, t); in a network, network.gradient(x, t) or "
        "evaluate(network, x, t)",
        "item": "loss.mean(z, t) is a number already",
        "reduction": "loss.mean(z, t) is the mean, and loss.losses(z, t) has one for each position",
        "from_logits": "outputs are logits, always: leave softmax or sigmoid out of the body",
        "weight": "class_weight, or sample_weight in fit",
    },
    "Huber": {"beta": "delta"},
    "Optimizer": {
        "*": NO_PARAMETERS,
        "params parameters": NO_PARAMETERS,
        "betas beta1=tuple beta1=list": "write beta1=0.9, beta2=0.999",
        "lr=dict lr=list lr=generator": NO_PARAMETERS,
        "param_groups": "lr is optimizer.lr; for parts of the network, rates={address: factor}",
        "zero_grad": OVERWRITTEN,
        "minimize apply_gradients": STEP,
        "amsgrad": "AMSGrad() is an optimizer of its own",
        "nesterov": "Nesterov(lr=0.01, beta=0.9) is an optimizer of its own",
        "centered": "CenteredRMSProp() is an optimizer of its own",
        "decay lr_decay": 'write schedules={"lr": InverseTimeSchedule(…)}',
        "schedule lr_scheduler scheduler lr=Schedule schedules=Schedule": SCHEDULES,
        "maximize": "minimize the negative: a loss of your own",
        "foreach fused capturable differentiable jit_compile": "leave it out",
        "ema_momentum use_ema": "write average=EMA(0.999) in fit",
        "get_config": "write to_config(optimizer)",
        "state": "memory",
        "iterations": "t",
    },
    "SGD": {
        "momentum": "HeavyBall(lr=0.01, beta=0.9) is the momentum of PyTorch and Keras",
        "dampening": "Momentum(lr=0.1, beta=0.9) has a dampening of beta",
    },
    "Momentum": {
        "momentum": "here it is called 'beta', and v is a mean of the gradients; "
        "HeavyBall(lr=0.01, beta=0.9) is the momentum of PyTorch and Keras",
    },
    "RMSProp": {"rho": "alpha"},
    "Adadelta": {"alpha": "rho"},
    "Schedule": {
        "*": "the optimizer takes the schedule: Adam(schedules={'lr': CosineSchedule()})",
        "optimizer": "the optimizer takes the schedule: Adam(schedules={'lr': CosineSchedule()})",
        "initial_learning_rate base_lr max_lr": "a schedule is a factor of the optimizer's lr",
        "eta_min alpha": "end, as a share of lr",
        "step": "leave it out: fit follows the schedule",
        "get_lr get_last_lr": "write lr * schedule(step, steps)",
    },
    "Callback": {
        "verbose": "leave it out: nothing is printed; ProgressBar() prints epochs",
        "save_best_only": "leave it out: the best network is kept",
        "save_weights_only": "leave it out: the file has the network and its weights",
        "save_freq": "ModelCheckpoint saves when it improves; Checkpoints(folder) save the state",
        "model": "each method is given the progress: progress.network",
    },
    "Checkpoints": {
        "every_n_epochs save_freq": "here it is called 'every', and counts steps",
        "path dirpath": "folder",
    },
    "Initializer": {"seed generator": "it is drawn from network.initialize(seed), or seed in fit"},
    "Normal": {"*": "the mean is given by name: Normal(0.01, mean=0.0)"},
    "Uniform": {"a": "low", "b": "high", "scale": "write low=-0.05, high=0.05"},
    "Training": {
        "validation_data eval_set": "validation",
        "validation_split validation_fraction": "split the arrays, and write "
        "validation=(x_validation, t_validation); in a file, [data] has validation_size",
        "verbose": "nothing is printed; write callbacks=[ProgressBar()], from layerkit.callbacks",
        "shuffle": "leave it out: the order is drawn anew for each epoch, from seed",
        "y labels targets": "t",
        "lr learning_rate learning_rate_init weight_decay momentum": "it is an option of the "
        "optimizer, such as Adam(lr=0.01)",
        "loss": "it is given to Network(body, loss, shape=…)",
        "optimizer solver": "it is the second argument: fit(network, optimizer, x, t)",
        "early_stopping": "write callbacks=[EarlyStopping()], and validation=(x, t)",
        "initial_epoch": "training begins with the weights that the network has; to resume a run, "
        "write checkpoints=Checkpoints(folder), resume=True",
        "steps_per_epoch": "an epoch uses each example once; for less, give an iterable of batches",
        "workers use_multiprocessing n_jobs device": "leave it out",
        "class_weights": "class_weight",
        "loss_weights": "target_weight",
        "sample_weights": "sample_weight",
        "dropout": "write Dropout(0.5) among the layers",
        "checkpoints=str checkpoints=Path": "write Checkpoints(folder)",
        "average=float": "write EMA(0.99)",
        "callbacks=type": "write callbacks=[EarlyStopping()], with an object",
    },
    "Record": {
        "history": EPOCHS,
        "params": "record.row() has all that was measured",
    },
    "Progress": {
        "model": "network",
        "logs callback_metrics history": "progress.record.measured() has the last epoch's",
        "current_epoch": "epoch",
        "global_step": "step",
        "should_stop stop_training": "write progress.stop(reason)",
        "max_epochs": "epochs",
    },
    "Trainer": {
        "fit train": "write trainer.run()",
        "records record history": "write trainer.progress.records",
        "stop should_stop stop_training": "write trainer.progress.stop(reason)",
        "epoch current_epoch": "write trainer.progress.epoch",
        "model": "network",
    },
    "State": {
        "data numpy detach item": "value",
        "requires_grad trainable": FREEZE,
    },
    "metrics": {
        "acc binary_accuracy categorical_accuracy sparse_categorical_accuracy accuracy_score": (
            "leave it out: accuracy is always measured"
        ),
        "loss": "leave it out: the loss is always measured",
        "mse mean_squared_error": "'rmse' is its square root",
        "mean_absolute_error": "mae",
        "root_mean_squared_error": "rmse",
        "r2_score": "r2",
        "f1_score f1score": "f1",
        "precision_score": "precision",
        "recall_score": "recall",
        "roc_auc_score": "roc_auc",
        "top_k_categorical_accuracy": "write top_5_accuracy, with your number",
    },
}
"""By our class: their names, and ours, or what to write.

`*` is said of too many values by position, and `lr=list` of a list, or an object of a class that is
derived from it, as the option lr.
"""

BY_NAME = {
    kind: {name: text for names, text in table.items() for name in names.split()}
    for kind, table in ADVICE.items()
}


def translated(name: str, kind: type | str, known: Collection[str] = ()) -> str:
    """Return what another library's name is here, or what to write; empty if it is not known.

    Parameters
    ----------
    name : str
    kind : type or str
        The class that has no such name, or "metrics".
    known : collection of str
        Names that it has.

    Examples
    --------
    >>> from layerkit import Adam
    >>> translated("zero_grad", Adam)
    'leave it out: gradients are overwritten, not added up'
    >>> translated("learning_rate", Adam, known=["lr"])
    "here it is called 'lr'"
    """
    kinds = [kind] if isinstance(kind, str) else [base.__name__ for base in kind.__mro__]
    for text in (BY_NAME[base][name] for base in kinds if name in BY_NAME.get(base, {})):
        return f"here it is called {text!r}" if text.isidentifier() else text
    ours = OURS.get(key(name), "")
    return f"here it is called {ours!r}" if ours in known else ""
