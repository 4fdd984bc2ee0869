/* The table of keys. Parser, checks, help, input/README.md and the resolved deck follow it. A new key is a
 * row here and a member in deck.h. */
#include "deck/inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/near.h"

#define AT(member) offsetof(struct deck, member)

#define RESTART_NO false
#define RESTART_YES true

static const struct choice all_word[] = {{"all", 0}, {NULL, -1}},
                           dropless_word[] = {{"dropless", 0}, {NULL, -1}},
                           random_word[] = {{"random", 0}, {NULL, -1}},
                           auto_word[] = {{"auto", 0}, {NULL, -1}}, never_word[] = {{"never", 0}, {NULL, -1}};

/* clang-format off */
static const struct key table[] = {
    /* run */
    {"run.steps", K_INT, AT(run.steps), 0, 1e9, "steps", "0",
     "Optimizer steps of the whole run, earlier legs included. Give this or run.tokens; 0 = not given.",
     NULL, RESTART_YES},
    {"run.tokens", K_REAL, AT(run.tokens), 0, 1e18, "tokens", "0",
     "Tokens of the whole run, e.g. 50e9, at batch.sequences x data.sequence a step; it ends at the "
     "first step that reaches them. Give this or run.steps; 0 = not given.", NULL, RESTART_YES},
    {"run.seed", K_INT, AT(run.seed), 0, 9e15, NULL, "1234",
     "Seed of router weights, random weights and data order. Random numbers are keyed by names and "
     "global indices, so they do not depend on the layout.", NULL, RESTART_NO},
    {"run.dir", K_PATH, AT(run.dir), 0, 0, NULL, NULL,
     "Run folder: log, metrics, checkpoints. The same deck and folder continue a run. Not given: "
     "runs/<deck's name> under the current folder.", NULL, RESTART_YES},
    {"run.profile", K_BOOL, AT(run.profile), 0, 0, NULL, "false",
     "Time and FLOP rate of every kind of operation in the summary.", NULL, RESTART_YES},
    {"run.machine", K_PATH, AT(run.machine), 0, 0, NULL, NULL,
     "Machine file (coppice plan --measure writes one) with which the run's time and memory are predicted: RUN/plan.json "
     "has them beside what was measured. Not given: the shipped file of this kind of device, scaled to the run's GEMM "
     "ceiling.", NULL, RESTART_YES},
    {"run.time_limit", K_DURATION, AT(run.time_limit), 1, 1e9, "s", "auto",
     "Save and exit with code 75 before so much time has passed since the start of the leg: 90s, "
     "30min, 2h, 1d. The end of the Slurm job holds too, if it is earlier; auto: it alone.", auto_word, RESTART_YES},
    {"run.watchdog", K_DURATION, AT(run.watchdog), 1, 1e9, "s", "10min",
     "A rank that makes no progress for so long has hung: every rank that still can says where it stands, and "
     "the run ends with 72. Three times as long before a leg's first step is done, and never shorter than ten "
     "of its steps. never: the watchdog only looks for ranks that died.", never_word, RESTART_YES},

    /* model */
    {"model.like", K_PATH, AT(model.like), 0, 0, NULL, NULL,
     "Hugging Face directory whose config.json gives the shape (llama, mistral, qwen2, mixtral). Its "
     "weights are the start unless start.from says otherwise. Keys below override it one by one. Not "
     "given: that of start.from.", NULL, RESTART_NO},
    {"model.hidden", K_INT, AT(model.hidden), 1, 1 << 20, NULL, NULL,
     "Width of the residual stream (hidden_size).", NULL, RESTART_NO},
    {"model.ffn", K_INT, AT(model.ffn), 1, 1 << 24, NULL, NULL,
     "Width of the dense FFN (intermediate_size); an expert's is this divided by model.moe.granularity.",
     NULL, RESTART_NO},
    {"model.layers", K_INT, AT(model.layers), 1, 1024, NULL, NULL,
     "Transformer layers (num_hidden_layers).", NULL, RESTART_NO},
    {"model.heads", K_INT, AT(model.heads), 1, 1 << 14, NULL, NULL,
     "Query heads (num_attention_heads).", NULL, RESTART_NO},
    {"model.kv_heads", K_INT, AT(model.kv_heads), 1, 1 << 14, NULL, NULL,
     "Key and value heads (num_key_value_heads); divides heads. Not given: as `like`, else heads.",
     NULL, RESTART_NO},
    {"model.head_dim", K_INT, AT(model.head_dim), 2, 1 << 12, NULL, NULL,
     "Width of a head, even. Not given: as `like`, else hidden / heads.", NULL, RESTART_NO},
    {"model.vocab", K_INT, AT(model.vocab), 1, 1 << 24, NULL, NULL,
     "Vocabulary (vocab_size).", NULL, RESTART_NO},
    {"model.max_positions", K_INT, AT(model.max_positions), 1, 1 << 24, "tokens", NULL,
     "Longest sequence (max_position_embeddings). Not given: as `like`, else 2048.",
     NULL, RESTART_NO},
    {"model.norm_eps", K_REAL, AT(model.norm_eps), 1e-12, 0.1, NULL, NULL,
     "Epsilon of RMSNorm (rms_norm_eps). Not given: as `like`, else 1e-5.", NULL, RESTART_NO},
    {"model.rope_theta", K_REAL, AT(model.rope_theta), 1, 1e12, NULL, NULL,
     "Base of the rotary frequencies. Not given: as `like`, else 10000.", NULL, RESTART_NO},
    {"model.tied", K_MAYBE, AT(model.tied), 0, 0, NULL, NULL,
     "The output head is the embedding (tie_word_embeddings). Not given: as `like`, else false.",
     NULL, RESTART_NO},
    {"model.qkv_bias", K_MAYBE, AT(model.qkv_bias), 0, 0, NULL, NULL,
     "Biases on Q, K and V (Qwen2). Not given: as `like`, else false.", NULL, RESTART_NO},
    {"model.qk_norm", K_MAYBE, AT(model.qk_norm), 0, 0, NULL, NULL,
     "RMSNorm of each head of Q and K before rotary positions (Qwen3). Not given: as `like`, else false.",
     NULL, RESTART_NO},
    {"model.ignore", K_NAMES, AT(model.ignore), 0, 0, NULL, NULL,
     "Keys of config.json that you know to change nothing, such as [my_tool_version]. They count as absent, "
     "and a line says so. Other unknown keys are refused. A key that says what the model is cannot be "
     "ignored.", NULL, RESTART_YES},

    /* model.moe */
    {"model.moe.experts", K_INT, AT(model.moe.experts), 0, 4096, NULL, NULL,
     "Experts of a MoE layer in all, fine-grained ones counted. Not given: as `like`; 0 = a dense model.",
     NULL, RESTART_NO},
    {"model.moe.top_k", K_INT, AT(model.moe.top_k), 1, 4096, NULL, NULL,
     "Experts that each token goes to. Not given: as `like`, else 2.", NULL, RESTART_NO},
    {"model.moe.granularity", K_INT, AT(model.moe.granularity), 1, 256, NULL, NULL,
     "Parts that the dense FFN is cut into to make one expert: 8 experts of granularity 4 are 2 copies "
     "in quarters. Not given: as `like`, else 1.", NULL, RESTART_NO},
    {"model.moe.router", K_CHOICE, AT(model.moe.router), 0, 0, NULL, NULL,
     "topk-softmax: softmax over the chosen k (Mixtral); upcycling then changes nothing at granularity "
     "1. softmax-topk: softmax over all experts, then choose. Not given: topk-softmax.",
     router_orders, RESTART_NO},
    {"model.moe.renormalise", K_MAYBE, AT(model.moe.renormalise), 0, 0, NULL, NULL,
     "softmax-topk: divide the chosen weights by their sum. Not given: false.", NULL, RESTART_NO},
    {"model.moe.layers", K_LAYERS, AT(model.moe.layers), 0, 1023, NULL, NULL,
     "Which layers are MoE: all, every 2 (layers 0, 2, 4, ..., as Megatron), or a list such as [0, 2, "
     "5], counted from 0. Not given: as `like`, else all.", all_word, RESTART_NO},
    {"model.moe.capacity", K_DECIMAL, AT(model.moe.capacity), 0, 4096, NULL, "dropless",
     "dropless, or the capacity factor CF, a decimal such as 1.25: an expert keeps at most "
     "ceil(N*k/X*CF) assignments of a micro-batch of N tokens.", dropless_word, RESTART_NO},
    {"model.moe.capacity_rule", K_CHOICE, AT(model.moe.capacity_rule), 0, 0, NULL, "assignments",
     "assignments: ceil(N*k/X*CF) as Megatron counts; tokens: ceil(N/X*CF) as the upcycling paper does.",
     capacity_rules, RESTART_NO},
    {"model.moe.capacity_policy", K_CHOICE, AT(model.moe.capacity_policy), 0, 0, NULL, "position",
     "Which assignments an overfull expert keeps: the first by position, or those of highest "
     "probability.", capacity_policies, RESTART_NO},
    {"model.moe.aux_loss_coeff", K_REAL, AT(model.moe.aux_loss_coeff), 0, 1e3, NULL, "0.01",
     "Coefficient of the load-balancing loss X*sum(f_e*P_e), which is summed over layers and is 1 at perfect "
     "balance in each. Megatron has the same number (--moe-aux-loss-coeff). Hugging Face pools the layers and "
     "does not divide by k, so its router_aux_loss_coef must be this number x layers/k for the same effect.",
     NULL, RESTART_NO},
    {"model.moe.z_loss_coeff", K_REAL, AT(model.moe.z_loss_coeff), 0, 1e3, NULL, "0",
     "Coefficient of the router's z loss, the mean of logsumexp(logits)^2, per layer, summed over "
     "layers.", NULL, RESTART_NO},
    {"model.moe.max_z_loss_coeff", K_REAL, AT(model.moe.max_z_loss_coeff), 0, 1e3, NULL, "0",
     "Coefficient of the max z-loss of the growth paper (arXiv 2408.06567), summed over layers. The paper gives "
     "no formula; here it is the mean over tokens of the squared largest router logit.",
     NULL, RESTART_NO},
    {"model.moe.aux_loss_domain", K_CHOICE, AT(model.moe.aux_loss_domain), 0, 0, NULL, "micro-batch",
     "What the load-balancing loss balances: each micro-batch, each sequence, or the global batch. For the "
     "global batch f_e is that of the step before; at the first step all f_e are equal.", aux_domains,
     RESTART_NO},
    {"model.moe.bias_update_rate", K_REAL, AT(model.moe.bias_update_rate), 0, 10, NULL, "0",
     "Loss-free balancing by a bias on each expert's logit that only the choice sees. After every step it "
     "rises by this number if the expert got fewer tokens than the mean, else it falls. 1e-3 is usual; 0 = no "
     "bias.", NULL, RESTART_NO},
    {"model.moe.jitter", K_REAL, AT(model.moe.jitter), 0, 0.9, NULL, "0",
     "In training the router's input is multiplied by random numbers from 1 - this to 1 + this. 1e-2 is "
     "usual; 0 = none.", NULL, RESTART_NO},
    {"model.moe.shared", K_INT, AT(model.moe.shared), 0, 4096, NULL, NULL,
     "Shared experts, to which every token goes beside its top_k; each is as wide as a routed one. Upcycling "
     "starts shared expert j as shard j mod granularity of the dense FFN, unscaled, so the model does not "
     "start equal to the dense one. Not given: as `like`, else none.", NULL, RESTART_NO},
    {"model.moe.shared_gate", K_MAYBE, AT(model.moe.shared_gate), 0, 0, NULL, NULL,
     "The shared experts' output is multiplied by sigmoid(w x), with a vector w that learns (Qwen2-MoE). Not "
     "given: as `like`, else false.",
     NULL, RESTART_NO},
    {"model.moe.imbalance", K_REAL, AT(model.moe.imbalance), 1, 4096, NULL, "2",
     "Rows that are planned for at an expert's rank, as a multiple of the balanced number. If more arrive, "
     "memory grows, and a line in the log says so. It has no effect on results.", NULL, RESTART_YES},

    /* start */
    {"start.from", K_PATH, AT(start.from), 0, 0, NULL, NULL,
     "Where the weights come from: a Hugging Face directory, or random. A dense model becomes a MoE "
     "model on the way. `start: random` and `start: PATH` are short for it. Not given: model.like.",
     random_word, RESTART_NO},
    {"start.grow.method", K_CHOICE, AT(start.grow.method), 0, 0, NULL, "none",
     "How a smaller dense model is grown to the sizes under `model` before it is upcycled. fpi: new units are "
     "copies, and the weights that read them are divided (logits stay equal if hidden grows by a whole factor "
     "and no layers are added). aki: new units come from the next layer. aki-pro: aki with depth: interpolate. "
     "It has no effect where the sizes agree.", grow_methods, RESTART_NO},
    {"start.grow.depth", K_CHOICE, AT(start.grow.depth), 0, 0, NULL, NULL,
     "Layer l of L2 grown from L1 is layer l mod L1 (stack) or floor(l*L1/L2) (interpolate). Not given: "
     "stack; aki-pro: interpolate.", grow_depths, RESTART_NO},
    {"start.grow.scope", K_CHOICE, AT(start.grow.scope), 0, 0, NULL, "all",
     "For aki, which new units come from the next layer: all, or only neurons (of FFN and heads), so that o and "
     "down copy rows of their own layer.", grow_scopes, RESTART_NO},
    {"start.upcycle.router", K_CHOICE, AT(start.upcycle.router), 0, 0, NULL, "copy",
     "Rows of the new routers. copy: one row is drawn for all experts that make up one dense FFN (virtual "
     "groups; top_k must then be a multiple of granularity); if the start has experts, it is the row of the "
     "expert that was copied. normal: each row is drawn. zero: all rows are 0.", router_inits, RESTART_NO},
    {"start.upcycle.router_std", K_REAL, AT(start.upcycle.router_std), 0, 100, NULL, "0.02",
     "Standard deviation of the new routers' weights.", NULL, RESTART_NO},
    {"start.upcycle.parents", K_PATHS, AT(start.upcycle.parents), 0, 0, NULL, NULL,
     "Dense models of the shape of start.from, from which the experts come in turn: copy e of the FFN comes "
     "from parent e mod n. All other weights come from start.from. Not given: only start.from.",
     NULL, RESTART_NO},
    {"start.upcycle.noise", K_REAL, AT(start.upcycle.noise), 0, 100, NULL, "0",
     "Standard deviation of normal noise that is added to the weights of new experts, so that they differ from "
     "the first step on; the model then does not start equal to the dense one. If a model with experts gets "
     "more, only the added experts and their rows of the router get noise. 0 = none.", NULL, RESTART_NO},
    {"start.upcycle.reinit", K_REAL, AT(start.upcycle.reinit), 0, 1, NULL, "0",
     "Share of an expert's neurons that are drawn anew (Drop-Upcycling): their rows of gate and up and columns "
     "of down come from N(0, reinit_std). Each new expert has other such neurons. The paper takes mean and "
     "deviation of what is replaced; here they are fixed, because no rank reads more than its own part.", NULL,
     RESTART_NO},
    {"start.upcycle.reinit_std", K_REAL, AT(start.upcycle.reinit_std), 0, 100, NULL, "0.02",
     "Standard deviation of what reinit draws.", NULL, RESTART_NO},
    {"start.upcycle.weight_scale", K_DECIMAL, AT(start.upcycle.weight_scale), 0, 1e6, NULL, "auto",
     "How copied experts are scaled, so that their sum is as large as the output of the dense FFN: by a = "
     "experts x granularity / top_k for softmax-topk without renormalisation, else a = granularity. auto: "
     "a^(1/3) on gate, up and down. down: a on down. none: no scale. A number is used for a, as in auto.",
     weight_scales, RESTART_NO},

    /* parallel */
    {"parallel.tensor", K_INT, AT(parallel.tensor), 1, 1 << 16, "ranks", "1",
     "Ranks that share attention and dense FFNs; above 1 with sequence parallelism. The number of ranks divided "
     "by this is the data parallelism.", NULL, RESTART_YES},
    {"parallel.expert", K_INT, AT(parallel.expert), 1, 4096, "ranks", "1",
     "Ranks among which the experts are divided; divides model.moe.experts.", NULL, RESTART_YES},
    {"parallel.expert_tensor", K_INT, AT(parallel.expert_tensor), 1, 1 << 16, "ranks", "1",
     "Ranks that share one expert.", NULL, RESTART_YES},
    {"parallel.overlap_gradients", K_BOOL, AT(parallel.overlap_gradients), 0, 0, NULL, "true",
     "On GPUs the sums of a layer's gradients over ranks go on while backward is in the layers before. It changes no "
     "bit.", NULL, RESTART_YES},
    {"parallel.overlap_weights", K_BOOL, AT(parallel.overlap_weights), 0, 0, NULL, "true",
     "On GPUs a layer's new weights come from their owners while the next step's forward is in the layers before. It "
     "changes no bit.", NULL, RESTART_YES},

    /* device */
    {"device.type", K_CHOICE, AT(device.type), 0, 0, NULL, "cpu",
     "The device that computes.", device_types, RESTART_YES},
    {"device.precision", K_CHOICE, AT(device.precision), 0, 0, NULL, "fp32",
     "Type of stored working weights and activations. Master weights, moments, gradients, router and losses are "
     "always fp32.", precisions, RESTART_YES},
    {"device.transport", K_CHOICE, AT(device.transport), 0, 0, NULL, "auto",
     "What carries GPU memory between ranks: NCCL, or MPI through pinned memory. auto: NCCL if it is built in and "
     "every rank has a GPU to itself.",
     dev_transports, RESTART_YES},
    {"device.deterministic", K_BOOL, AT(device.deterministic), 0, 0, NULL, "true",
     "Sums have one order, so a run on a given layout repeats its bits. false: on GPUs, NCCL sums by its own ways, and "
     "attention's backward adds as its parts get ready; both are faster, and the bits differ from run to run. The CPU "
     "device always keeps its order.", NULL, RESTART_YES},
    {"device.recompute", K_CHOICE, AT(device.recompute), 0, 0, NULL, "none",
     "What backward computes again, so that it need not be kept; it changes no bit. moe: the rows at the experts and "
     "what gate and up made of them. full: all of a layer but its input and its routing. Outputs of norms and "
     "activations are never kept.", recomputes, RESTART_YES},
    {"device.threads", K_INT, AT(device.threads), 0, 4096, "threads", "0",
     "OpenMP threads of a rank. 0 = the cores it may use / the ranks that share them.", NULL, RESTART_YES},
    {"device.check", K_CHOICE, AT(device.check), 0, 0, NULL, "false",
     "For finding faults; slow. true: fresh memory is NaN, guards lie around it, results must be finite. hidden: "
     "also, the host cannot touch device memory outside operations.",
     dev_checks, RESTART_YES},

    /* data */
    {"data.sequence", K_INT, AT(data.sequence), 1, 1 << 24, "tokens", "1024",
     "Length of a sequence.", NULL, RESTART_NO},
    {"data.train", K_ITEMS, AT(data.train), 0, 0, NULL, NULL,
     "Training sets, blended by weight: [{path: a, weight: 7}, {path: b, weight: 3}] or plain paths. A path is "
     "that of a .bin/.idx pair, with or without suffix.", NULL, RESTART_NO},
    {"data.valid", K_ITEMS, AT(data.valid), 0, 0, NULL, NULL,
     "Validation sets, written as data.train; the loss of each is reported.", NULL, RESTART_NO},
    {"data.split", K_REALS, AT(data.split), 0, 1, NULL, NULL,
     "[0.9, 0.1] cuts a single training set by tokens: the first part trains, the rest is for validation.",
     NULL, RESTART_NO},
    {"data.batches", K_PATH, AT(data.batches), 0, 0, NULL, NULL,
     "Ready batches instead of data.train: a safetensors file with `tokens` and `targets` (probe) or "
     "`train.tokens` and `train.targets` (train), used in file order. A target of -100 counts in no "
     "cross-entropy, but its token is routed: it counts in auxiliary and z losses and takes capacity.",
     NULL, RESTART_NO},
    {"data.document_mask", K_BOOL, AT(data.document_mask), 0, 0, NULL, "false",
     "Attention does not cross the borders of documents inside a sequence, and positions begin anew in each. The "
     "documents are those of the .idx file; of data.batches, tokens with the same number in its array `documents` "
     "(`train.documents`), shaped as the targets. Targets stay: the last token of a document is still asked for the "
     "first of the next.", NULL, RESTART_NO},
    {"data.pad_id", K_INT, AT(data.pad_id), 0, 2147483647, NULL, NULL,
     "Id of the token that fills up sequences. Padding goes to no expert: it takes no capacity and counts in no load, "
     "auxiliary or z loss. It is no target, has none, and nobody attends to it: the text behind it is another "
     "document. Not given: no token is padding.", NULL, RESTART_NO},

    /* batch */
    {"batch.sequences", K_INT, AT(batch.sequences), 1, 1 << 20, "sequences", "16",
     "Sequences of a step over all ranks.", NULL, RESTART_YES},
    {"batch.micro", K_INT, AT(batch.micro), 1, 1 << 20, "sequences", "1",
     "Sequences of a micro-batch, which are computed together and for which capacity, aux and z loss are counted. "
     "Divides batch.sequences.", NULL, RESTART_NO},

    /* optimizer */
    {"optimizer.lr", K_REAL, AT(optimizer.lr), 0, 100, NULL, "3e-05",
     "Peak learning rate of AdamW.", NULL, RESTART_NO},
    {"optimizer.min_lr", K_REAL, AT(optimizer.min_lr), 0, 100, NULL, "0",
     "Learning rate at the horizon and after it.", NULL, RESTART_NO},
    {"optimizer.schedule", K_CHOICE, AT(optimizer.schedule), 0, 0, NULL, "cosine",
     "How the rate falls from lr after the warmup to min_lr at the horizon; constant: it stays at lr.",
     schedules, RESTART_NO},
    {"optimizer.warmup", K_INT, AT(optimizer.warmup), 0, 1e9, "steps", "0",
     "Steps over which the learning rate rises linearly to lr.", NULL, RESTART_NO},
    {"optimizer.horizon", K_INT, AT(optimizer.horizon), 0, 1e9, "steps", "0",
     "Step at which the schedule ends. 0 = the first leg's number of steps, which later legs keep, so that more "
     "steps do not change the schedule.", NULL, RESTART_NO},
    {"optimizer.weight_decay", K_REAL, AT(optimizer.weight_decay), 0, 10, NULL, "0.1",
     "Decoupled weight decay, multiplied by the step's learning rate. Only matrices decay, with router and "
     "embedding.", NULL, RESTART_NO},
    {"optimizer.betas", K_REALS, AT(optimizer.betas), 0, 0.999999999, NULL, "[0.9, 0.95]",
     "Decay of the first and second moment.", NULL, RESTART_NO},
    {"optimizer.eps", K_REAL, AT(optimizer.eps), 0, 1, NULL, "1e-08",
     "Epsilon of AdamW.", NULL, RESTART_NO},
    {"optimizer.clip", K_REAL, AT(optimizer.clip), 0, 1e9, NULL, "1",
     "Gradients are scaled down to this global norm. 0 = no clipping.", NULL, RESTART_NO},

    /* checkpoint */
    {"checkpoint.every", K_EVERY, AT(checkpoint.every), 0, 1e9, "steps or time", "500",
     "Save every so many steps, or time: 500, 90s, 30min, 2h. never: only at the end (checkpoint.final).",
     never_word, RESTART_YES},
    {"checkpoint.keep", K_INT, AT(checkpoint.keep), 1, 1 << 20, NULL, "2",
     "How many of the newest checkpoints are kept.", NULL, RESTART_YES},
    {"checkpoint.keep_every", K_INT, AT(checkpoint.keep_every), 0, 1e9, "steps", "0",
     "Checkpoints of steps that are a multiple of this number are kept, too. 0 = none.", NULL, RESTART_YES},
    {"checkpoint.writers", K_INT, AT(checkpoint.writers), 0, 1 << 16, "ranks", "0",
     "Ranks that write one file together. 0 = all ranks of a node.", NULL, RESTART_YES},
    {"checkpoint.final", K_BOOL, AT(checkpoint.final), 0, 0, NULL, "true",
     "Save after the last step.", NULL, RESTART_YES},
    {"checkpoint.async", K_CHOICE, AT(checkpoint.async), 0, 0, NULL, "auto",
     "Write checkpoints beside the steps, from copies in host memory (12 bytes a parameter over all ranks). "
     "auto: if they fit and there is a step behind a save.", save_asyncs, RESTART_YES},

    /* guard */
    {"guard.policy", K_CHOICE, AT(guard.policy), 0, 0, NULL, "stop",
     "What follows a step whose loss or gradient is not finite, or spikes; it changes nothing. stop: save the state "
     "before it, exit 71. skip: go on with the next step. rewind: go back to the last checkpoint, and on behind the "
     "samples of the step. A step that is good when computed once more is repeated.", guard_policies, RESTART_YES},
    {"guard.most", K_INT, AT(guard.most), 1, 1e9, "steps", "8",
     "Bad steps in a row that are skipped, repeated or rewound from; one more stops the run.", NULL, RESTART_YES},
    {"guard.loss_spike", K_REAL, AT(guard.loss_spike), 0, 1e9, "nats", "0",
     "A loss that is so much above the mean of the last 50 steps is a spike, from a leg's 20th step on. 0 = none is.",
     NULL, RESTART_YES},
    {"guard.norm_spike", K_REAL, AT(guard.norm_spike), 0, 1e9, NULL, "0",
     "A gradient norm that is so many times the mean of the last 50 steps is a spike, alike. 0 = none is.", NULL,
     RESTART_YES},
    {"guard.replicas", K_EVERY, AT(guard.replicas), 0, 1e9, "steps or time", "200",
     "Compare the weights of ranks that hold the same ones, so often. A difference names tensor and rank and stops the "
     "run, or rewinds it (guard.policy).", never_word, RESTART_YES},

    /* eval, log */
    {"eval.every", K_EVERY, AT(eval.every), 0, 1e9, "steps or time", "100",
     "Compute the validation loss every so many steps, or time: 500, 90s, 30min; also before the first step and "
     "after the last. never: not at all.", never_word, RESTART_YES},
    {"eval.tokens", K_INT, AT(eval.tokens), 1, 1e12, "tokens", "32768",
     "Tokens of each validation set that are used: those of its first windows, in file order.", NULL, RESTART_YES},
    {"eval.tasks", K_PATHS, AT(eval.tasks), 0, 0, NULL, NULL,
     "Tasks to score the model with whenever the validation loss is computed, as coppice eval does: JSON lines, CSV, or "
     "descriptions (coppice help eval). Their sequences are at most data.sequence tokens long.", NULL, RESTART_YES},
    {"eval.shots", K_INT, AT(eval.shots), 0, 1000, NULL, "0",
     "Answered examples before each question of eval.tasks.", NULL, RESTART_YES},
    {"eval.limit", K_INT, AT(eval.limit), 0, 1e9, "questions", "200",
     "The first questions of each task of eval.tasks; 0 = all.", NULL, RESTART_YES},
    {"eval.tokenizer", K_PATH, AT(eval.tokenizer), 0, 0, NULL, NULL,
     "A tokenizer.json, or a folder that has one, for eval.tasks. Not given: that of the folder that the model comes "
     "from.", NULL, RESTART_YES},
    {"log.every", K_INT, AT(log.every), 1, 1e9, "steps", "10",
     "A line on the console every so many steps.", NULL, RESTART_YES},
};
/* clang-format on */

enum { KEYS = sizeof table / sizeof *table, NEAR_MAX = NEAR_LENGTH };

const struct key *deck_keys(int *n)
{
    *n = KEYS;
    return table;
}

int key_find(const char *path)
{
    for (int i = 0; i < KEYS; i++)
        if (strcmp(table[i].path, path) == 0)
            return i;
    return -1;
}

/* Does the key `path` lie in `section`? The section "" holds everything. */
static bool in_section(const char *path, const char *section)
{
    size_t n = strlen(section);
    return n == 0 || (strncmp(path, section, n) == 0 && path[n] == '.');
}

bool key_is_section(const char *path)
{
    for (int i = 0; i < KEYS; i++)
        if (*path && in_section(table[i].path, path))
            return true;
    return false;
}

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

/* How far apart two keys are. A key in the wrong section counts as one mistake, whatever the sections are
 * called. */
static int mistakes(const char *given, const char *key)
{
    int whole = near_distance(given, key);
    return whole > 1 && strcmp(last_part(given), last_part(key)) == 0 ? 1 : whole;
}

/* The part of `path` before its n-th dot, counted from 0; NULL if it has no such dot. */
static const char *leading(char out[NEAR_MAX + 1], const char *path, int n)
{
    const char *end = strchr(path, '.');
    while (end && n-- > 0)
        end = strchr(end + 1, '.');
    if (!end)
        return NULL;
    memcpy(out, path, (size_t)(end - path));
    out[end - path] = '\0';
    return out;
}

/* The key or section that was probably meant; NULL if none is near. Caller frees. */
static char *key_nearest(const char *path)
{
    if (strlen(path) > NEAR_MAX)
        return NULL;
    int best = 1 + near_limit(path);
    char part[NEAR_MAX + 1], found[NEAR_MAX + 1] = "";
    for (int i = 0; i < KEYS; i++) {
        const char *candidate = table[i].path;
        for (int level = 0; candidate; candidate = leading(part, table[i].path, level++)) {
            int d = mistakes(path, candidate);
            if (d < best && !in_section(path, candidate)) {
                best = d;
                strcpy(found, candidate);
            }
        }
    }
    return *found ? mem_text(found) : NULL;
}

char *key_members(const char *section)
{
    char *text = mem_text(""), previous[NEAR_MAX + 1] = "";
    size_t skip = *section ? strlen(section) + 1 : 0;
    for (int i = 0; i < KEYS; i++) {
        if (!in_section(table[i].path, section))
            continue;
        const char *member = table[i].path + skip;
        size_t n = strcspn(member, ".");
        if (strlen(previous) == n && strncmp(previous, member, n) == 0)
            continue;
        memcpy(previous, member, n);
        previous[n] = '\0';
        mem_append(&text, "%s%s", *text ? ", " : "", previous);
    }
    return text;
}

void key_unknown(const char *path, const char *where, struct errors *errors)
{
    if (errors->told < errors->n) { /* the record is full, so only the number matters */
        errors_add(errors, where, "unknown key");
        return;
    }
    const char *dot = strrchr(path, '.');
    bool is_section = key_is_section(path);
    char *section =
        dot && !is_section ? mem_format("%.*s", (int)(dot - path), path) : mem_text(is_section ? path : "");
    char *near = is_section ? NULL : key_nearest(path), *members = key_members(section);
    if (is_section)
        errors_add(errors, where, "%s: a section, not a key; it holds %s", path, members);
    else if (near)
        errors_add(errors, where, "%.120s: unknown key; did you mean %s?", path, near);
    else if (*members)
        errors_add(errors, where, "%.120s: unknown key; %s holds %s", path, *section ? section : "a deck",
                   members);
    else
        errors_add(errors, where, "%.120s: unknown key; `coppice deck keys` lists them all", path);
    free(near);
    free(members);
    free(section);
}
