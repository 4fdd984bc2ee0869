/* Bad decks with their messages. Each is a variant, called t.yaml, of the base of t_deck.c, or a --set after
 * that base. */
#ifndef UNIT_DECK_BAD_H
#define UNIT_DECK_BAD_H

struct bad {
    const char *deck, *message;
};

static const struct bad bad_decks[] = {
    {"start: {grow: {depth: deep}}", "t.yaml:1:23: start.grow.depth: expected stack|interpolate, not 'deep'"},
    {"start: {grow: {depth: stack}}",
     "t.yaml:1:23: start.grow.depth: has no effect without start.grow.method"},
    {"start: {grow: {method: aki-pro, depth: stack}}", "t.yaml:1:40: start.grow.depth: stack: aki-pro is aki "
                                                       "with depth: interpolate; use method: aki to stack"},
    {"start: {grow: {scope: heads}}", "t.yaml:1:23: start.grow.scope: expected all|neurons, not 'heads'"},
    {"start: {grow: {method: fpi, scope: neurons}}",
     "t.yaml:1:36: start.grow.scope: neurons: says what aki takes from the next layer; start.grow.method is "
     "neither aki nor aki-pro"},
    {"start: {grow: fpi}",
     "t.yaml:1:15: start.grow: expected a mapping, not a value; it holds method, depth, scope"},
    {"start: {upcycle: {router: random}}",
     "t.yaml:1:27: start.upcycle.router: expected copy|normal|zero, not 'random'"},
    {"start: {upcycle: {router: zero, router_std: 0.1}}",
     "t.yaml:1:45: start.upcycle.router_std: has no effect, because start.upcycle.router is zero; take one "
     "of "
     "them out"},
    {"start: {upcycle: {router_std: large}}",
     "t.yaml:1:31: start.upcycle.router_std: expected a number, not 'large'"},
    {"start: {upcycle: {noise: .nan}}", "t.yaml:1:26: start.upcycle.noise: expected a number, not '.nan'"},
    {"start: {upcycle: {reinit: 0.5, reinit_std: -1}}",
     "t.yaml:1:44: start.upcycle.reinit_std: -1 is out of range (0 to 100)"},
    {"start: {upcycle: {reinit_std: 0.1}}", "t.yaml:1:31: start.upcycle.reinit_std: has no effect, because "
                                            "start.upcycle.reinit is 0; take one of them "
                                            "out"},
    {"start: {upcycle: {weight_scale: 0}}",
     "t.yaml:1:33: start.upcycle.weight_scale: expected auto|down|none or a decimal above 0 of at most six "
     "places, not '0'"},
    {"start: {upcycle: {weight_scale: 2000000}}",
     "t.yaml:1:33: start.upcycle.weight_scale: 2000000 is out of range (0 to 1000000)"},
    {"model: {moe: {experts: -1}}", "t.yaml:1:24: model.moe.experts: -1 is out of range (0 to 4096)"},
    {"model: {moe: {top_k: 0}}", "t.yaml:1:22: model.moe.top_k: 0 is out of range (1 to 4096)"},
    {"model: {moe: {granularity: 0}}", "t.yaml:1:28: model.moe.granularity: 0 is out of range (1 to 256)"},
    {"model: {moe: {router: topk-softmax, renormalise: true}}",
     "t.yaml:1:50: model.moe.renormalise: has no effect with router: topk-softmax, whose weights add up to "
     "1; "
     "use softmax-topk"},
    {"model: {moe: {capacity_rule: token}}",
     "t.yaml:1:30: model.moe.capacity_rule: expected assignments|tokens, not 'token'"},
    {"model: {moe: {capacity_policy: random}}",
     "t.yaml:1:32: model.moe.capacity_policy: expected position|probability, not 'random'"},
    {"model: {moe: {z_loss_coeff: -1e-3}}",
     "t.yaml:1:29: model.moe.z_loss_coeff: -1e-3 is out of range (0 to 1000)"},
    {"model: {moe: {max_z_loss_coeff: 2000}}",
     "t.yaml:1:33: model.moe.max_z_loss_coeff: 2000 is out of range (0 to 1000)"},
    {"model: {moe: {bias_update_rate: 11}}",
     "t.yaml:1:33: model.moe.bias_update_rate: 11 is out of range (0 to 10)"},
    {"model: {moe: {shared: 1, shared_gate: 1}}",
     "t.yaml:1:39: model.moe.shared_gate: expected true or false, not '1'"},
    {"model: {moe: {imbalance: 0.5}}", "t.yaml:1:26: model.moe.imbalance: 0.5 is out of range (1 to 4096)"},
    {"start: {upcycle: {parents: [a, [b]]}}",
     "t.yaml:1:32: start.upcycle.parents.1: expected a path, not a list"},
    {"model: {ignore: [a, [b]]}", "t.yaml:1:21: model.ignore.1: expected a name, not a list"},
    {"model: {ignore: {a: b}}", "t.yaml:1:17: model.ignore: expected a list of names, not a mapping"},
    {"model: {ignore: [\"two words\"]}", "t.yaml:1:18: model.ignore.0: expected a name, not 'two words'"},
    {"model: {ignore: \"\"}", "t.yaml:1:17: model.ignore: expected a name, not ''"},
    {"start: {upcycle: {parents: {a: b}}}",
     "t.yaml:1:28: start.upcycle.parents: expected a list of paths, not a mapping"},
    {"start: {upcycle: {parents: [\"${NO_SUCH_NAME}\"]}}",
     "t.yaml:1:29: start.upcycle.parents.0: ${NO_SUCH_NAME} is not set; set it, or write "
     "${NO_SUCH_NAME:-text}"},
    {"start: {upcycle: {reinit: 2}}", "t.yaml:1:27: start.upcycle.reinit: 2 is out of range (0 to 1)"},
    {"run: {steps: 1.5}", "t.yaml:1:14: run.steps: expected an integer, not '1.5'"},
    {"run: {steps: 1e3}", "t.yaml:1:14: run.steps: expected an integer, not '1e3'"},
    {"run: {steps: \"100\"}", "t.yaml:1:14: run.steps: expected an integer, not '100'; remove the quotes"},
    {"run: {steps: 0100}", "t.yaml:1:14: run.steps: expected an integer, not '0100'"},
    {"run: {steps: 0x10}", "t.yaml:1:14: run.steps: expected an integer, not '0x10'"},
    {"run: {steps: +5}", "t.yaml:1:14: run.steps: expected an integer, not '+5'"},
    {"run: {steps: -1}", "t.yaml:1:14: run.steps: -1 is out of range (0 to 1000000000 steps)"},
    {"run: {steps: 99999999999999999999}",
     "t.yaml:1:14: run.steps: expected an integer, not '99999999999999999999'"},
    {"run: {steps: }", "t.yaml:1:14: run.steps: there is no value (~ stands for the default)"},
    {"run: {steps: [1, 2]}", "t.yaml:1:14: run.steps: expected an integer, not a list"},
    {"run: {steps: {a: 1}}", "t.yaml:1:14: run.steps: expected an integer, not a mapping"},
    {"run: {tokens: 1e400, steps: ~}", "t.yaml:1:15: run.tokens: expected a number, not '1e400'"},
    {"run: {tokens: .nan}", "t.yaml:1:15: run.tokens: expected a number, not '.nan'"},
    {"run: {tokens: inf}", "t.yaml:1:15: run.tokens: expected a number, not 'inf'"},
    {"run: {tokens: 50 e9}", "t.yaml:1:15: run.tokens: expected a number, not '50 e9'"},
    {"run: {profile: yes}", "t.yaml:1:16: run.profile: expected true or false, not 'yes'"},
    {"run: {profile: True}", "t.yaml:1:16: run.profile: expected true or false, not 'True'"},
    {"run: {profile: \"true\"}",
     "t.yaml:1:16: run.profile: expected true or false, not 'true'; remove the quotes"},
    {"run: {time_limit: 30}",
     "t.yaml:1:19: run.time_limit: expected auto or a time with its unit: 90s, 30min, 2h, 1d, not '30'"},
    {"run: {time_limit: 2 hours}",
     "t.yaml:1:19: run.time_limit: expected auto or a time with its unit: 90s, 30min, 2h, 1d, not '2 "
     "hours'"},
    {"run: {watchdog: 0}",
     "t.yaml:1:17: run.watchdog: expected never or a time with its unit: 90s, 30min, 2h, 1d, not '0'"},
    {"run: {time_limit: 0s}", "t.yaml:1:19: run.time_limit: 0s is out of range (1 to 1000000000 s)"},
    {"run: {seed: 7, seed: 8}", "t.yaml:1:16: run.seed: given twice in this deck"},
    {"run: {tokens: 1e9}",
     "base.yaml:1:14: run.steps: give run.steps or run.tokens (t.yaml:1:15), not both; ~ takes one back"},
    {"run: {steps: ~}", "t.yaml: run.steps: say how long to train: run.steps or run.tokens"},
    {"run: 100",
     "t.yaml:1:6: run: expected a mapping, not a value; it holds steps, tokens, seed, dir, profile, "
     "machine, time_limit, watchdog"},
    {"run: [steps]",
     "t.yaml:1:6: run: expected a mapping, not a list; it holds steps, tokens, seed, dir, profile, "
     "machine, time_limit, watchdog"},
    {"run: {step: 1}", "t.yaml:1:7: run.step: unknown key; did you mean run.steps?"},
    {"run: {}\nrun: {}", "t.yaml:2:1: run: given twice in this deck"},
    {"lr: 1.0e-4", "t.yaml:1:1: lr: unknown key; did you mean optimizer.lr?"},
    {"runn: {steps: 1}", "t.yaml:1:1: runn: unknown key; did you mean run?"},
    {"optimzer: {lr: 1}", "t.yaml:1:1: optimzer: unknown key; did you mean optimizer?"},
    {"model: {moe: {expert: 8}}",
     "t.yaml:1:15: model.moe.expert: unknown key; did you mean model.moe.experts?"},
    {"model: {top_k: 2}", "t.yaml:1:9: model.top_k: unknown key; did you mean model.moe.top_k?"},
    {"model: {xyzzy: 2}",
     "t.yaml:1:9: model.xyzzy: unknown key; model holds like, hidden, ffn, layers, heads, kv_heads, "
     "head_dim, vocab, max_positions, norm_eps, rope_theta, tied, qkv_bias, qk_norm, ignore, moe"},
    {"xyzzy: 2",
     "t.yaml:1:1: xyzzy: unknown key; a deck holds run, model, start, parallel, device, data, batch, "
     "optimizer, checkpoint, guard, eval, log"},
    {"batch.micro: 2", "t.yaml:1:1: batch.micro: keys with dots are for --set; write section: {key: value}"},
    {"model: {moe: {router: topk}}",
     "t.yaml:1:23: model.moe.router: expected topk-softmax|softmax-topk, not 'topk'"},
    {"model: {moe: {capacity: 0}}",
     "t.yaml:1:25: model.moe.capacity: expected dropless or a decimal above 0 of at most six places, "
     "not '0'"},
    {"model: {moe: {capacity: -1.5}}",
     "t.yaml:1:25: model.moe.capacity: expected dropless or a decimal above 0 of at most six places, "
     "not '-1.5'"},
    {"model: {moe: {capacity: 1.0000001}}",
     "t.yaml:1:25: model.moe.capacity: expected dropless or a decimal above 0 of at most six places, "
     "not '1.0000001'"},
    {"model: {moe: {capacity: 1e1}}",
     "t.yaml:1:25: model.moe.capacity: expected dropless or a decimal above 0 of at most six places, "
     "not '1e1'"},
    {"model: {moe: {capacity: droples}}",
     "t.yaml:1:25: model.moe.capacity: expected dropless or a decimal above 0 of at most six places, "
     "not 'droples'"},
    {"model: {moe: {layers: some}}",
     "t.yaml:1:23: model.moe.layers: expected all, every N, or a list of layers such as [0, 2, 5], not "
     "'some'"},
    {"model: {moe: {layers: every 0}}",
     "t.yaml:1:23: model.moe.layers: expected all, every N, or a list of layers such as [0, 2, 5], not "
     "'every 0'"},
    {"model: {moe: {layers: [0, 2, 2]}}",
     "t.yaml:1:23: model.moe.layers: layers must be whole numbers in ascending order"},
    {"model: {moe: {layers: [0, 1.5]}}",
     "t.yaml:1:23: model.moe.layers: layers must be whole numbers in ascending order"},
    {"model: {moe: {layers: [0, x]}}", "t.yaml:1:27: model.moe.layers: expected a number, not 'x'"},
    {"model: {moe: {layers: []}}",
     "t.yaml:1:23: model.moe.layers: expected all, every N, or a list of layers such as [0, 2, 5], not "
     "'[]'"},
    {"model: {moe: {layers: [0, 2000]}}",
     "t.yaml:1:23: model.moe.layers: [0, 2000] is out of range (0 to 1023)"},
    {"model: {layers: 4, moe: {layers: [0, 4]}}",
     "t.yaml:1:34: model.moe.layers: there is no layer 4; model.layers: 4 counts from 0"},
    {"model: {moe: {top_k: 9}}", "t.yaml:1:22: model.moe.top_k: 9 is more than model.moe.experts: 8"},
    {"model: {moe: {shared: 0, shared_gate: true}}",
     "t.yaml:1:39: model.moe.shared_gate: there are no shared experts to gate; give model.moe.shared"},
    {"model: {moe: {aux_loss_coeff: 0, aux_loss_domain: global}}",
     "t.yaml:1:51: model.moe.aux_loss_domain: global has no effect, because model.moe.aux_loss_coeff is 0; "
     "take one of them out"},
    {"model: {moe: {aux_loss_domain: batch}}",
     "t.yaml:1:32: model.moe.aux_loss_domain: expected micro-batch|sequence|global, not 'batch'"},
    {"model: {moe: {bias_update_rate: 1e-3}}",
     "t.yaml:1:33: model.moe.bias_update_rate: balances without a loss, but model.moe.aux_loss_coeff is 0.01 "
     "where it is not given: give it too (0 for no loss)"},
    {"model: {moe: {top_k: 8, bias_update_rate: 1e-3, aux_loss_coeff: 0}}",
     "t.yaml:1:43: model.moe.bias_update_rate: a bias decides the choice, and top_k: 8 chooses all experts"},
    {"model: {moe: {jitter: 1}}", "t.yaml:1:23: model.moe.jitter: 1 is out of range (0 to 0.9)"},
    {"model: {moe: {shared: -1}}", "t.yaml:1:23: model.moe.shared: -1 is out of range (0 to 4096)"},
    {"model: {moe: {granularity: 3}}",
     "t.yaml:1:28: model.moe.granularity: 3 does not divide model.moe.experts: 8 (1, 2, 4, 8 do)"},
    {"model: {moe: {renormalise: 1}}", "t.yaml:1:28: model.moe.renormalise: expected true or false, not '1'"},
    {"model: {ffn: 1000, moe: {granularity: 16, experts: 16}}",
     "t.yaml:1:39: model.moe.granularity: 16 does not divide model.ffn: 1000 (1, 2, 4, 5, 8, 10, 20, "
     "25, 40, 50, 100, 125, ... do)"},
    {"model: {heads: 9, kv_heads: 2}",
     "t.yaml:1:29: model.kv_heads: 2 does not divide model.heads: 9 (1, 3, 9 do)"},
    {"model: {like: ~, hidden: 100, heads: 9, ffn: 8, layers: 2, vocab: 10}\nstart: random",
     "t.yaml:1:38: model.heads: 9 does not divide model.hidden: 100; give model.head_dim"},
    {"model: {head_dim: 33}", "t.yaml:1:19: model.head_dim: 33 is odd; rotary embedding turns pairs"},
    {"model: {max_positions: 128}",
     "base.yaml:3:18: data.sequence: 256 is more than model.max_positions: 128"},
    {"model: {like: ~}",
     "t.yaml: model.like: give it, or the shape spelled out (missing in model: hidden, ffn, layers, "
     "heads, vocab)"},
    {"model: {like: ~, hidden: 8, ffn: 16, layers: 2, heads: 2, vocab: 10}",
     "t.yaml: start.from: say where the weights come from: a Hugging Face directory, or random"},
    {"model: {like: ~, hidden: 8}\nstart: random",
     "t.yaml: model.like: give it, or the shape spelled out (missing in model: ffn, layers, heads, "
     "vocab)"},
    {"model: {like: ~}\nstart: random",
     "t.yaml: model.like: give it, or the shape spelled out (missing in model: hidden, ffn, layers, "
     "heads, vocab)"},
    {"model: {like: \"\"}", "t.yaml:1:15: model.like: expected a path, not an empty text"},
    {"model: {like: ~/models}", "t.yaml:1:15: model.like: ~ is not replaced; write ${HOME}"},
    {"model: {like: \"${NO_SUCH_NAME}/x\"}",
     "t.yaml:1:15: model.like: ${NO_SUCH_NAME} is not set; set it, or write ${NO_SUCH_NAME:-text}"},
    {"model: {like: \"/${COPPICE_T_EMPTY}/x\"}",
     "t.yaml:1:15: model.like: ${COPPICE_T_EMPTY} is empty; set it, or write ${COPPICE_T_EMPTY:-text}"},
    {"model: {like: \"${1x}\"}",
     "t.yaml:1:15: model.like: '${1x}' is not a variable; write ${NAME} or ${NAME:-text}"},
    {"model: {like: \"${HOME\"}", "t.yaml:1:15: model.like: ${ without }"},
    {"model: {like: \"a\\nb\"}", "t.yaml:1:15: a control character or line break in a value"},
    {"model: {like: \"a\\0b\"}", "t.yaml:1:15: a control character or line break in a value"},
    {"model: {like: [a]}", "t.yaml:1:15: model.like: expected a path, not a list"},
    {"model: &a {like: x}", "t.yaml:1:8: anchors (&name) are refused in a deck"},
    {"model: {like: &a x}", "t.yaml:1:15: anchors (&name) are refused in a deck"},
    {"model: {like: *a}", "t.yaml:1:15: aliases (*name) are refused in a deck; write the value again"},
    {"model: {like: !!str x}", "t.yaml:1:15: tags (!name) are refused in a deck"},
    {"model: !m {like: x}", "t.yaml:1:8: tags (!name) are refused in a deck"},
    {"*a : 1", "t.yaml:1:1: aliases (*name) are refused in a deck; write the value again"},
    {"&a run: {}", "t.yaml:1:1: anchors (&name) are refused in a deck"},
    {"!t run: {}", "t.yaml:1:1: tags (!name) are refused in a deck"},
    {"? [a, b]\n: 1", "t.yaml:1:3: expected the name of a key, not a list"},
    {"? {a: b}\n: 1", "t.yaml:1:3: expected the name of a key, not a mapping"},
    {"<<: {run: {}}",
     "t.yaml:1:1: <<: unknown key; a deck holds run, model, start, parallel, device, data, batch, "
     "optimizer, checkpoint, guard, eval, log"},
    {"start: {from: x, upcyle: {}}", "t.yaml:1:18: start.upcyle: unknown key; did you mean start.upcycle?"},
    {"start: [x]", "t.yaml:1:8: start: expected a mapping, not a list; it holds from, grow, upcycle"},
    {"start: random\nstart: other", "t.yaml:2:1: start.from: given twice in this deck"},
    {"start: {upcycle: {noise: -1}}", "t.yaml:1:26: start.upcycle.noise: -1 is out of range (0 to 100)"},
    {"start: {grow: {method: net2net}}",
     "t.yaml:1:24: start.grow.method: expected none|fpi|aki|aki-pro, not 'net2net'"},
    {"start: {upcycle: {weight_scale: up}}",
     "t.yaml:1:33: start.upcycle.weight_scale: expected auto|down|none or a decimal above 0 of at most "
     "six places, not 'up'"},
    {"start: {upcycle: {router_std: -0.1}}",
     "t.yaml:1:31: start.upcycle.router_std: -0.1 is out of range (0 to 100)"},
    {"parallel: {tensor: 0}", "t.yaml:1:20: parallel.tensor: 0 is out of range (1 to 65536 ranks)"},
    {"parallel: {expert: 3}",
     "t.yaml:1:20: parallel.expert: 3 does not divide model.moe.experts: 8 (1, 2, 4, 8 do)"},
    {"model: {kv_heads: 4, heads: 16}\nparallel: {tensor: 3}",
     "t.yaml:2:20: parallel.tensor: 3 does not divide model.heads: 16 (1, 2, 4, 8, 16 do)\nt.yaml:2:20: "
     "parallel.tensor: 3 and model.kv_heads: 4: one must divide the other (1, 2, 4 do)"},
    {"device: {type: gpu}", "t.yaml:1:16: device.type: expected cpu|cuda, not 'gpu'"},
    {"device: {transport: ib}", "t.yaml:1:21: device.transport: expected auto|nccl|mpi, not 'ib'"},
    {"data: {train: []}", "t.yaml:1:15: data.train: say what to train on: data.train or data.batches"},
    {"data: {train: {weight: 3}}", "t.yaml:1:15: data.train.0: a data set needs a path"},
    {"data: {train: [{path: a, path: b}]}", "t.yaml:1:26: data.train.0.path: given twice"},
    {"data: {train: [{path: a, weight: 0}]}",
     "t.yaml:1:34: data.train.0.weight: expected a weight above 0, not '0'"},
    {"data: {train: [{path: a, weight: x}, {path: b, weigth: 2}]}",
     "t.yaml:1:34: data.train.0.weight: expected a weight above 0, not 'x'\nt.yaml:1:48: "
     "data.train.1.weigth: unknown; a data set has path and weight"},
    {"data: {train: [{path: [a]}]}", "t.yaml:1:23: data.train.0.path: expected a value, not a list"},
    {"data: {train: [[a]]}",
     "t.yaml:1:16: data.train.0: expected a path or {path: ..., weight: ...}, not a list"},
    {"data: {train: [{path: a, weight: 1, weight: 2}]}", "t.yaml:1:37: data.train.0.weight: given twice"},
    {"data: {train: [&x a, !t b, *x]}",
     "t.yaml:1:16: anchors (&name) are refused in a deck\nt.yaml:1:22: tags (!name) are refused in a "
     "deck\nt.yaml:1:28: aliases (*name) are refused in a deck; write the value again"},
    {"data: {train: ~}", "t.yaml: data.train: say what to train on: data.train or data.batches"},
    {"data: {batches: b.safetensors}",
     "base.yaml:3:30: data.train: give data.train or data.batches (t.yaml:1:17), not both; ~ takes one "
     "back"},
    {"data: {split: [0.9, 0.2]}",
     "t.yaml:1:15: data.split: expected two parts above 0 that add up to 1, such as [0.9, 0.1]\n"
     "t.yaml:1:15: data.split: cuts one training set, and there are 2; give data.valid instead"},
    {"data: {train: a, split: [0.5]}",
     "t.yaml:1:25: data.split: expected two parts above 0 that add up to 1, such as [0.9, 0.1]"},
    {"data: {train: a, split: 0.9}",
     "t.yaml:1:25: data.split: expected a list of numbers such as [0.9, 0.1], not '0.9'"},
    {"data: {train: a, split: [0.9, 0.1], valid: v}",
     "t.yaml:1:25: data.split: makes the validation set; data.valid (t.yaml:1:44) cannot be given too"},
    {"data: {train: a, split: [0.9, \"0.1\"]}", "t.yaml:1:31: data.split: expected a number, not '0.1'"},
    {"data: {pad_id: -1}", "t.yaml:1:16: data.pad_id: -1 is out of range (0 to 2147483647)"},
    {"data: {document_mask: 1}", "t.yaml:1:23: data.document_mask: expected true or false, not '1'"},
    {"data: {train: a, split: [1.5, -0.5]}", "t.yaml:1:25: data.split: [1.5, -0.5] is out of range (0 to 1)"},
    {"data: {train: a, split: [969, 30, 1]}", "t.yaml:1:25: data.split: [969, 30, 1] is out of range (0 to "
                                              "1); Megatron's 969,30,1 is [0.97, 0.03] here, "
                                              "without a test part"},
    {"data: {train: a, split: '949,50,1'}", "t.yaml:1:25: data.split: expected a list of numbers such as "
                                            "[0.9, 0.1], not '949,50,1'; Megatron's 949,50,1 "
                                            "is [0.95, 0.05] here, without a test part"},
    {"data: {train: a, split: [0.9, 0.05, 0.05]}",
     "t.yaml:1:25: data.split: expected two parts above 0 that add up to 1, such as [0.9, 0.1]; Megatron's "
     "0.9,0.05,0.05 is [0.947, 0.053] here, without a test part"},
    {"data: {train: a, split: '100,0,0'}", "t.yaml:1:25: data.split: expected a list of numbers such as "
                                           "[0.9, 0.1], not '100,0,0'; Megatron's 100,0,0 has "
                                           "no validation part: leave data.split out"},
    {"data: {train: a, split: '0.9,0.1'}", "t.yaml:1:25: data.split: expected a list of numbers such as "
                                           "[0.9, 0.1], not '0.9,0.1'; write [0.9,0.1]"},
    {"data: {train: 0.3 a 0.7 b}", "t.yaml:1:15: data.train: '0.3 a 0.7 b' is Megatron's spelling; write "
                                   "[{path: a, weight: 0.3}, {path: b, "
                                   "weight: 0.7}]"},
    {"data: {train: [0.3, a, 0.7, b]}", "t.yaml:1:15: data.train: '0.3 a 0.7 b' is Megatron's spelling; "
                                        "write [{path: a, weight: 0.3}, {path: b, "
                                        "weight: 0.7}]"},
    {"data: {train: [30 a 70 b]}",
     "t.yaml:1:16: data.train.0: '30 a 70 b' is Megatron's spelling; write [{path: a, weight: 30}, {path: b, "
     "weight: 70}]"},
    {"data: {train: a, split: [[0.9, 0.1]]}", "t.yaml:1:26: data.split: expected a number, not a list"},
    {"data: {split: [0.9, 0.1]}",
     "t.yaml:1:15: data.split: cuts one training set, and there are 2; give data.valid instead"},
    {"batch: {micro: 3}",
     "t.yaml:1:16: batch.micro: 3 does not divide batch.sequences: 16 (1, 2, 4, 8, 16 do)"},
    {"batch: {micro: 5}",
     "t.yaml:1:16: batch.micro: 5 does not divide batch.sequences: 16 (1, 2, 4, 8, 16 do)"},
    {"optimizer: {lr: 1.0e-5, min_lr: 1.0e-4}",
     "t.yaml:1:33: optimizer.min_lr: 0.0001 is above optimizer.lr: 1e-05"},
    {"optimizer: {warmup: 200}", "t.yaml:1:21: optimizer.warmup: 200 steps are more than the schedule's 100"},
    {"optimizer: {betas: [0.9]}", "t.yaml:1:20: optimizer.betas: expected two numbers, not 1"},
    {"optimizer: {betas: [0.9, 1.0]}",
     "t.yaml:1:20: optimizer.betas: [0.9, 1.0] is out of range (0 to 0.999999999)"},
    {"optimizer: {betas: 0.9}",
     "t.yaml:1:20: optimizer.betas: expected a list of numbers such as [0.9, 0.1], not '0.9'"},
    {"optimizer: {schedule: cosin}",
     "t.yaml:1:23: optimizer.schedule: expected cosine|linear|constant, not 'cosin'"},
    {"checkpoint: {every: 30 min}",
     "t.yaml:1:21: checkpoint.every: expected a number of steps, a time such as 90s, 30min or 2h, or "
     "never, not '30 min'"},
    {"checkpoint: {every: 0.00001s}",
     "t.yaml:1:21: checkpoint.every: expected a number of steps, a time such as 90s, 30min or 2h, or "
     "never, not '0.00001s'"},
    {"checkpoint: {keep: 0}", "t.yaml:1:20: checkpoint.keep: 0 is out of range (1 to 1048576)"},
    {"checkpoint: {final: 1}", "t.yaml:1:21: checkpoint.final: expected true or false, not '1'"},
    {"eval: {every: -3}", "t.yaml:1:15: eval.every: -3 is out of range (0 to 1000000000)"},
    {"log: {every: 0}", "t.yaml:1:14: log.every: 0 is out of range (1 to 1000000000 steps)"},
    {"run: {steps: 1000000000}\ndata: {sequence: 16777216}\nbatch: {sequences: 1048576}",
     "t.yaml:1:14: run.steps: steps x sequences x sequence is 1.76e+22 tokens; at most 4.61e+18 can be "
     "counted"},
    {"", "t.yaml:1:1: the deck is empty"},
    {"# nothing", "t.yaml:2:1: the deck is empty"},
    {"- a", "t.yaml:1:1: expected a mapping such as model: {like: PATH}, not a list"},
    {"text", "t.yaml:1:1: expected a mapping such as model: {like: PATH}, not a value"},
    {"run: {steps: 1}\n---\nrun: {steps: 2}",
     "t.yaml:2:1: there is a second document, but a deck is only one"},
    {"run: {steps: 1}\n...\nrun: {steps: 2}", "t.yaml:3:1: not YAML: did not find expected <document start>"},
    {"run: {steps: 1",
     "t.yaml:2:1: not YAML: did not find expected ',' or '}', while parsing a flow mapping that began "
     "on line 1"},
    {"run:\n  steps: 1\n seed: 2",
     "t.yaml:3:2: not YAML: did not find expected key, while parsing a block mapping that began on line "
     "1"},
    {"run:\n\tsteps: 1",
     "t.yaml:2:1: not YAML: found character that cannot start any token, while scanning for the next "
     "token that began on line 2 (tabs cannot indent)"},
    {"run: [1, 2}",
     "t.yaml:1:6: run: expected a mapping, not a list; it holds steps, tokens, seed, dir, profile, "
     "machine, time_limit, watchdog\nt.yaml:1:11: not YAML: did not find expected ',' or ']', while parsing "
     "a flow "
     "sequence that began on line 1"},
    {"run: {steps: 5}}",
     "t.yaml:1:16: not YAML: did not find expected key, while parsing a block mapping that began on "
     "line 1"},
    {"%YAML 9.0\n---\nrun: {}", "t.yaml:1:1: not YAML: found incompatible YAML document"},
    {"[[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]]",
     "t.yaml:1:1: expected a mapping such as model: {like: PATH}, not a list"},
    {"run: {x: [[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]}", "t.yaml:1:7: run.x: unknown key; run holds steps, tokens, "
                                                  "seed, dir, profile, machine, time_limit, watchdog\n"
                                                  "t.yaml:1:24: more than 16 levels"},
    {"run: {steps: x, seed: y}\nbatch: {micro: z}\nnothing: 1",
     "t.yaml:1:14: run.steps: expected an integer, not 'x'\nt.yaml:1:23: run.seed: expected an integer, "
     "not 'y'\nt.yaml:2:16: batch.micro: expected an integer, not 'z'\nt.yaml:3:1: nothing: unknown "
     "key; a deck holds run, model, start, parallel, device, data, batch, optimizer, checkpoint, guard, "
     "eval, "
     "log"},
    {"\"run\": {\"steps\": 'a b'}",
     "t.yaml:1:18: run.steps: expected an integer, not 'a b'; remove the quotes"},
    {"run: {steps: >\n  12}",
     "t.yaml:1:14: not YAML: found character that cannot start any token, while scanning for the next "
     "token that began on line 1"},
    {"model: {like: ${HOME}/x}\nrun: {}\nrun: {}",
     "t.yaml:1:16: not YAML: did not find expected ',' or '}', while parsing a flow mapping that began "
     "on line 1 (a path with ${...} needs quotes within { } or [ ])"},
    {"run:\n  dir: |\n    a\n    b", "t.yaml:2:8: a control character or line break in a value"},
    {"model: {like: \"a\\x85b\"}", "t.yaml:1:15: a control character or line break in a value"},
    {"model: {like: \"a\\u2028b\"}", "t.yaml:1:15: a control character or line break in a value"},
    {"\"a\\nb\": 1", "t.yaml:1:1: a control character or line break in a value"},
    {"data: {train: [{[a]: b}]}", "t.yaml:1:17: data.train.0.: unknown; a data set has path and weight"},
    {"data: {train: 5, valid: [{}]}", "t.yaml:1:26: data.valid.0: a data set needs a path"},
    {"model: {moe: {aux_loss_coeff: -1}}",
     "t.yaml:1:31: model.moe.aux_loss_coeff: -1 is out of range (0 to 1000)"},
    {"model: {moe: {experts: 5000}}", "t.yaml:1:24: model.moe.experts: 5000 is out of range (0 to 4096)"},
    {"run: {x: {y: 1}, z: [1, 2]}\nbatch: {micro: 3}",
     "t.yaml:1:7: run.x: unknown key; run holds steps, tokens, seed, dir, profile, machine, time_limit, "
     "watchdog\n"
     "t.yaml:1:18: run.z: unknown key; run holds steps, tokens, seed, dir, profile, machine, time_limit, "
     "watchdog"},
    {"model:\n  like: \"\xff\"\n", "t.yaml:2:10: not YAML: invalid leading UTF-8 octet"},
};

static const struct bad bad_sets[] = {
    {"run.steps", "--set: 'run.steps': write KEY=VALUE, such as run.steps=100"},
    {"run.stepz=1", "--set: run.stepz: unknown key; did you mean run.steps?"},
    {"=3", "--set: '=3': write KEY=VALUE, such as run.steps=100"},
    {"batch.micro=", "--set: batch.micro: there is no value (~ stands for the default)"},
    {"batch.micro=3", "--set: batch.micro: 3 does not divide batch.sequences: 16 (1, 2, 4, 8, 16 do)"},
    {"batch.micro=\"4\"", "--set: batch.micro: expected an integer, not '\"4\"'"},
    {"data.train.2.weight=1", "--set: data.train.2.weight: data.train has 2 data sets, counted from 0"},
    {"data.train.0.weight=0", "--set: data.train.0.weight: expected a weight above 0, not '0'"},
    {"data.train.0.wait=1", "--set: data.train.0.wait: unknown; a data set has path and weight"},
    {"data.valid.0.weight=1", "--set: data.valid.0.weight: data.valid has 0 data sets, counted from 0"},
    {"data.train=[{path: a, weight: x}]", "--set: data.train.0.weight: expected a weight above 0, not 'x'"},
    {"data.train=[a",
     "--set: not YAML: did not find expected ',' or ']', while parsing a flow sequence that began on "
     "line 1"},
    {"data.train={weight: 2}", "--set: data.train.0: a data set needs a path"},
    {"data.train=[*a]", "--set: aliases (*name) are refused in a deck; write the value again"},
    {"run=[steps]", "--set: run: a section, not a key; it holds steps, tokens, seed, dir, profile, machine, "
                    "time_limit, watchdog"},
    {"model.moe.layers=[0",
     "--set: model.moe.layers: expected all, every N, or a list of layers such as [0, 2, 5], not '[0'"},
    {"model.moe.layers=[2,1]", "--set: model.moe.layers: layers must be whole numbers in ascending order"},
    {"optimizer.betas=0.9",
     "--set: optimizer.betas: expected a list of numbers such as [0.9, 0.1], not '0.9'"},
    {"model.like=${NO_SUCH_NAME}",
     "--set: model.like: ${NO_SUCH_NAME} is not set; set it, or write ${NO_SUCH_NAME:-text}"},
    {"model.like=", "--set: model.like: there is no value (~ stands for the default)"},
    {"model.like=a\nb", "--set: not UTF-8, a control character, or more than 64 KiB"},
    {"start.upcycle=3", "--set: start.upcycle: a section, not a key; it holds router, router_std, parents, "
                        "noise, reinit, reinit_std, weight_scale"},
    {"data.train.x.weight=1", "--set: data.train.x.weight: unknown key; `coppice deck keys` lists them all"},
    {"log.every=1.5", "--set: log.every: expected an integer, not '1.5'"},
};

#endif
