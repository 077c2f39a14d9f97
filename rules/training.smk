"""Neighbour graphs, training of every (budget, arm, size, seed) and of networks that the study pretrains, tests of the runs."""

REPLAY = any(arm.replay or arm.ewc for arm in STUDY.arms.values())  # source frames of training materials


rule build_graphs:
    input:
        frames="<results>/frames/{fidelity}/manifest.json",
        split="<results>/split/split.parquet",
    output:
        "<results>/graphs/{fidelity}/manifest.json",
    wildcard_constraints:
        fidelity=one_of([STUDY.low, STUDY.high]),
    threads: 2
    params:
        fidelity="{fidelity}",
        architecture=ARCHITECTURE.name,
        label=lambda w: STUDY.fidelities[w.fidelity].energy,
        # of the source, frames to test on and, for pretraining and replay, to train on
        sample=lambda w: (None if w.fidelity == STUDY.high else STUDY.tests.forgetting.frames),
        sides=(["train"] if REPLAY or STUDY.pretraining else []) + (["val"] if STUDY.pretraining else []),
    message:
        "Building the neighbour graphs of {wildcards.fidelity}"
    script:
        "../scripts/build_graphs.py"


use rule build_graphs as build_graphs_beside with:
    output:
        "<results>/graphs/{architecture}/{fidelity}/manifest.json",
    wildcard_constraints:
        fidelity=one_of([STUDY.low, STUDY.high]),
        architecture=one_of(OTHERS),
    params:
        fidelity="{fidelity}",
        architecture="{architecture}",
        label=lambda w: STUDY.fidelities[w.fidelity].energy,
        sample=lambda w: (None if w.fidelity == STUDY.high else STUDY.tests.forgetting.frames),
        sides=["train"] if REPLAY else [],
    message:
        "Building the inputs of {wildcards.architecture} of {wildcards.fidelity}"


rule graphs:
    """Graph stores of the study."""
    input:
        [graphs_of(STUDY.high, card) for card in ARCHITECTURES.values()],
        [
            source_graphs(REPLAY or STUDY.pretraining or STUDY.tests.forgetting.frames, card)
            for card in ARCHITECTURES.values()
        ],


use rule order as order_source with:
    input:
        split="<results>/split/split.parquet",
        frames=([] if STUDY.split.sampling == "random" else [f"<results>/frames/{STUDY.low}/manifest.json"]),
    output:
        "<results>/pretraining/{network}/order.parquet",
    log:
        "<results>/logs/pretraining/{network}/order.log",
    params:
        **({"mix": None} if STUDY.split.mix else {}),  # the sources of the target have one
        fidelity=STUDY.low,
        seed=lambda w: STUDY.pretraining[w.network].seed,
        draw=STUDY.split.draw,
        sampling=STUDY.split.sampling,
        key=lambda w: STUDY.split.key,
    message:
        "Ordering the training frames of the source for {wildcards.network}"


rule pretrain:
    input:
        graphs=f"<results>/graphs/{STUDY.low}/manifest.json",
        split="<results>/split/split.parquet",
        order="<results>/pretraining/{network}/order.parquet",
    output:
        model="<results>/pretraining/{network}/model.pth.tar",
        other="<results>/pretraining/{network}/other.pth.tar",
        history="<results>/pretraining/{network}/history.csv",
        card="<results>/pretraining/{network}/card.yaml",
    log:
        "<results>/logs/pretraining/{network}/train.log",
    threads: STUDY.training.threads * (1 if DEVICE == "cuda" else STUDY.training.devices)
    resources:
        mem_mb=memory_of_pretraining,
        runtime=lambda w, attempt: STUDY.resources.minutes * attempt,
        gpu=STUDY.training.devices * GPU,
    params:
        pretraining=lambda w: plain(STUDY.pretraining[w.network]),
        low=STUDY.low,
        recipe=RECIPE,
        targets=STUDY.transfer.targets,
        results=lambda w: f"results/{STUDY.study}",  # a function, or the linter takes it for a prefix of files
        run=lambda w: f"pretraining/{w.network}",
    message:
        "Pretraining {wildcards.network} on {params.low}"
    script:
        "../scripts/pretrain.py"


rule pretraining:
    """Every network that the study pretrains."""
    input:
        expand("<results>/pretraining/{network}/card.yaml", network=STUDY.pretraining),


rule estimate_fisher:
    input:
        graphs=lambda w: graphs_of(STUDY.low, card_of_arm(w.arm)),
        split="<results>/split/split.parquet",
        initial=initial_of,
    output:
        importance="<results>/fisher/{arm}/importance.pt",
        manifest="<results>/fisher/{arm}/manifest.json",
    log:
        "<results>/logs/fisher/{arm}.log",
    threads: STUDY.training.threads
    resources:
        mem_mb=STUDY.resources.memory_mb,
        gpu=GPU,
    params:
        **({"own": lambda w: own_contents(STUDY.checkpoint_of(w.arm))} if OWN_CHECKPOINTS else {}),
        ewc=lambda w: without(STUDY.arms[w.arm].ewc, "strength"),
        pretrained=lambda w: STUDY.checkpoint_of(w.arm),
        low=STUDY.low,
        targets=STUDY.transfer.targets,
        weights=plain(STUDY.training.weights),
        device=DEVICE,
        threads=STUDY.training.threads,
    message:
        "Estimating the Fisher information of the weights that {wildcards.arm} starts from"
    script:
        "../scripts/estimate_fisher.py"


rule agree_teachers:
    input:
        graphs=lambda w: graphs_of(STUDY.low, card_of_arm(w.arm)),
        split="<results>/split/split.parquet",
        teachers=lambda w: sum(map(pretrained_here, STUDY.arms[w.arm].replay.teachers), []),
    output:
        labels="<results>/teachers/{arm}/labels.pt",
        manifest="<results>/teachers/{arm}/manifest.json",
    log:
        "<results>/logs/teachers/{arm}.log",
    threads: STUDY.training.threads
    resources:
        mem_mb=STUDY.resources.memory_mb,
        gpu=GPU,
    params:
        **({"own": contents_of_teachers} if OWN_CHECKPOINTS else {}),
        teachers=networks_of_teachers,
        limits=lambda w: dict(STUDY.arms[w.arm].replay.agree),
        low=STUDY.low,
        targets=STUDY.transfer.targets,
        device=DEVICE,
        threads=STUDY.training.threads,
    message:
        "Labelling source frames by the teachers of {wildcards.arm}"
    script:
        "../scripts/agree_teachers.py"


rule train_run:
    input:
        graphs=lambda w: graphs_of(STUDY.high, card_of_arm(w.arm)),
        split="<results>/split/split.parquet",
        order="<results>/split/order/seed{seed}.parquet",
        reference=reference_input,
        initial=initial_of,
        source=lambda w: source_graphs(STUDY.arms[w.arm].replay, card_of_arm(w.arm)),
        importance=importance_of,
        agreed=agreed_of,
        rate=lambda w: [f"<results>/tune/{w.arm}.csv"] if w.arm in TUNED else [],
    output:
        model=f"<results>/runs/{RUN}/model.pth.tar",
        other=f"<results>/runs/{RUN}/other.pth.tar",
        history=f"<results>/runs/{RUN}/history.csv",
        card=f"<results>/runs/{RUN}/card.yaml",
    log:
        f"<results>/logs/runs/{RUN}/train.log",
    threads: STUDY.training.threads * (1 if DEVICE == "cuda" else STUDY.training.devices)
    resources:
        mem_mb=memory_of_run,
        runtime=minutes_of_run,
        gpu=STUDY.training.devices * GPU,
    params:
        **({"own": lambda w: own_contents(STUDY.checkpoint_of(w.arm))} if OWN_CHECKPOINTS else {}),
        arm=lambda w: arm_options(w.arm),
        budget=lambda w: plain(BUDGETS[w.budget]),
        size=lambda w: SIZES[w.size],
        low=STUDY.low,
        high=STUDY.high,
        recipe=RECIPE,
        pretrained=lambda w: STUDY.checkpoint_of(w.arm),
        targets=STUDY.transfer.targets,
        results=lambda w: f"results/{STUDY.study}",  # a function, or the linter takes it for a prefix of files
        run=lambda w: f"runs/{RUN}".format(**w),
    message:
        "Training {wildcards.arm} on n = {wildcards.size}, seed {wildcards.seed}, {wildcards.budget}"
    script:
        "../scripts/train.py"


# The learning rate of an arm is chosen once per study, on validation.
TUNED = tuned_arms(STUDY)
TRIAL = "<results>/tune/{arm}/n{size}/seed{seed}/{budget}/rate{rate}"


use rule train_run as try_rate with:
    input:
        graphs=lambda w: graphs_of(STUDY.high, card_of_arm(w.arm)),
        split="<results>/split/split.parquet",
        order="<results>/split/order/seed{seed}.parquet",
        reference=reference_input,
        initial=initial_of,
        source=lambda w: source_graphs(STUDY.arms[w.arm].replay, card_of_arm(w.arm)),
        importance=importance_of,
        agreed=agreed_of,
        rate=[],
    output:
        model=temp(f"{TRIAL}/model.pth.tar"),
        other=temp(f"{TRIAL}/other.pth.tar"),
        history=f"{TRIAL}/history.csv",
        card=f"{TRIAL}/card.yaml",
    log:
        "<results>/logs/tune/{arm}/n{size}/seed{seed}/{budget}/rate{rate}.log",
    params:
        **({"own": lambda w: own_contents(STUDY.checkpoint_of(w.arm))} if OWN_CHECKPOINTS else {}),
        arm=lambda w: arm_options(w.arm),
        budget=lambda w: plain(BUDGETS[w.budget]),
        size=lambda w: SIZES[w.size],
        low=STUDY.low,
        high=STUDY.high,
        recipe=lambda w: with_rate(RECIPE, float(w.rate)),
        pretrained=lambda w: STUDY.checkpoint_of(w.arm),
        targets=STUDY.transfer.targets,
        results=lambda w: f"results/{STUDY.study}",
        run=lambda w: TRIAL.removeprefix("<results>/").format(**w),
    message:
        "Trying learning rate {wildcards.rate} for {wildcards.arm}"


rule choose_rate:
    input:
        lambda w: [
            f"{folder}/history.csv"
            for folder in expand(
                TRIAL,
                arm=w.arm,
                size=size_token(tuned_at(STUDY)),
                seed=STUDY.arms[w.arm].seeds[:1] or STUDY.seeds[:1],
                budget=next(iter(STUDY.budgets)),
                rate=[f"{rate:g}" for rate in STUDY.tune.learning_rates],
            )
        ],
    output:
        "<results>/tune/{arm}.csv",
    wildcard_constraints:
        arm=one_of(TUNED),
    params:
        rates=lambda w: STUDY.tune.learning_rates,
        keep=next(iter(STUDY.budgets.values())).keep,
    message:
        "Choosing the learning rate of {wildcards.arm}"
    script:
        "../scripts/choose_rate.py"


rule evaluate_run:
    input:
        graphs=lambda w: graphs_of(STUDY.high, card_of_arm(w.arm)),
        split="<results>/split/split.parquet",
        order="<results>/split/order/seed{seed}.parquet",
        baseline=f"<results>/references/{STUDY.scaling.baseline}/n{{size}}/seed{{seed}}.csv",
        model=f"<results>/runs/{RUN}/model.pth.tar",
        other=f"<results>/runs/{RUN}/other.pth.tar",
        card=f"<results>/runs/{RUN}/card.yaml",
        source=lambda w: source_graphs(STUDY.tests.forgetting.frames, card_of_arm(w.arm)),
    output:
        metrics=f"<results>/runs/{RUN}/metrics.json",
        predictions=f"<results>/runs/{RUN}/predictions.parquet",
        errors=f"<results>/runs/{RUN}/errors.csv",
        components=f"<results>/runs/{RUN}/components.parquet",
    log:
        f"<results>/logs/runs/{RUN}/evaluate.log",
    threads: STUDY.training.threads
    resources:
        mem_mb=STUDY.resources.memory_mb,
        gpu=GPU,
    params:
        size=lambda w: SIZES[w.size],
        low=STUDY.low,
        high=STUDY.high,
        # a network for two fidelities has to be told which one; others know one only
        fidelity=lambda w: STUDY.high if is_joint(w.arm) else None,
        source_fidelity=lambda w: STUDY.low if is_joint(w.arm) else None,
        forgetting=STUDY.tests.forgetting.frames,
        targets=STUDY.transfer.targets,
        device=DEVICE,
        threads=STUDY.training.threads,
    message:
        "Testing {wildcards.arm} on n = {wildcards.size}, seed {wildcards.seed}, {wildcards.budget}"
    script:
        "../scripts/evaluate.py"


rule index_models:
    input:
        models=expand("{run}/model.pth.tar", run=[*RUNS, *LONGER_RUNS]),
        cards=expand("{run}/card.yaml", run=[*RUNS, *LONGER_RUNS]),
        metrics=expand("{run}/metrics.json", run=[*RUNS, *LONGER_RUNS]),
    output:
        "<results>/models/index.csv",
    log:
        "<results>/logs/models.log",
    params:
        targets=STUDY.transfer.targets,
    message:
        "Listing the trained networks"
    script:
        "../scripts/index_models.py"


rule train:
    """Every run, trained and tested, and the list of them."""
    input:
        "<results>/models/index.csv",
