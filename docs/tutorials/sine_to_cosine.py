# %% [markdown] lang="en"
# # From sine to cosine
#
# A network sees a sine and is asked for the cosine. The model is the smallest of Keras, `SimpleRNN(10)` and `Dense(1)`,
# and the program is one of Keras with its import lines changed. It first fails, for a reason that training cannot
# mend, and then learns. Measured runs at the end answer three questions: overfitting, the number of units, and faster
# training.
#
# You need NumPy, matplotlib and rnncore. All cells together take a few seconds.
# %% [markdown] lang="zh"
# # 从正弦到余弦
#
# 网络看到正弦，要给出余弦。模型是 Keras 里最小的一种：`SimpleRNN(10)` 加 `Dense(1)`；程序也是 Keras 的程序，
# 只改了导入的几行。它先是失败了，原因不是训练能解决的；后来又学会了。
# 最后用实测结果回答三个问题：过拟合、隐藏单元的个数、怎样训练得更快。
#
# 需要 NumPy、matplotlib 和 rnncore。运行全部单元只需几秒钟。
# %%
import time

import matplotlib.pyplot as plt
import numpy as np

from rnncore import callbacks, datasets, get_num_threads, optimizers, regularizers, set_num_threads
from rnncore.layers import Dense, SimpleRNN  # from keras.layers import Dense, SimpleRNN
from rnncore.models import Sequential  # from keras.models import Sequential
from rnncore.utils import set_random_seed

t = np.linspace(0, 100, 1000)
X = np.sin(t).reshape(-1, 1)
y = np.cos(t)

set_random_seed(0)
model = Sequential([SimpleRNN(10, input_shape=(1, 1)), Dense(1)])
model.compile(optimizer="rmsprop", loss="mse")
one_value = model.fit(X, y, epochs=300, verbose=0)
model.summary()

# %% [markdown] lang="en"
# ## What the layers compute
#
# `SimpleRNN` keeps a state of ten numbers, which begins at zero. `Dense` makes one number of the last state:
#
# $$
# h_t = \tanh(W_{hh} h_{t-1} + W_{ix} x_t + b)
# $$
#
# $$
# \hat y = W_{hy} h_T + b_y
# $$
#
# That is $10 \cdot 1 + 10 \cdot 10 + 10 = 120$ weights and $10 + 1 = 11$, as the summary says. In NumPy, with a vector
# as a row of an array:
# %% [markdown] lang="zh"
# ## 每一层算什么
#
# `SimpleRNN` 保存十个数的状态，从零开始。`Dense` 由最后的状态算出一个数：
#
# $$
# h_t = \tanh(W_{hh} h_{t-1} + W_{ix} x_t + b)
# $$
#
# $$
# \hat y = W_{hy} h_T + b_y
# $$
#
# 共有 $10 \cdot 1 + 10 \cdot 10 + 10 = 120$ 个权重和 $10 + 1 = 11$ 个权重，和 summary 显示的一样。
# 用 NumPy 写出来（向量是数组的一行）：


# %%
def forward(x, W_ix, W_hh, b, W_hy, b_y):
    """Forecasts (N, 1) from x (N, T, 1)."""
    h = np.zeros((len(x), len(W_hh)))
    for step in range(x.shape[1]):
        h = np.tanh(h @ W_hh + x[:, step] @ W_ix + b)
    return h @ W_hy + b_y


same = forward(X[:, None], *model.get_weights())
print("as the model computes it:", np.allclose(same, model.predict(X, verbose=0), atol=1e-5))

# %% [markdown] lang="en"
# ## Why one value is not enough
#
# The loss is the mean squared error
#
# $$
# L = \frac{1}{N} \sum_n (\hat y_n - y_n)^2
# $$
#
# and it stops near 0.498:
# %% [markdown] lang="zh"
# ## 为什么一个值不够
#
# 损失是均方误差
#
# $$
# L = \frac{1}{N} \sum_n (\hat y_n - y_n)^2
# $$
#
# 它停在 0.498 附近：
# %%
print(f"loss after 300 epochs: {one_value.history['loss'][-1]:.3f}")
print(f"mean of cos²:          {np.mean(y**2):.3f}")

# %% [markdown] lang="en"
# Each value of the sine is met twice in a period: once rising, with a positive cosine, and once falling, with the
# negative one. From $\sin t$ alone
#
# $$
# \cos t = \pm \sqrt{1 - \sin^2 t}
# $$
#
# and the sign is anybody's guess. The forecast with the least squared error is the mean of both, which is 0, and what
# is left is the mean of $\cos^2$, a half. No network, optimizer or number of epochs gets below it. The cure is to show
# more. Two neighbouring values already say everything: from $\sin(t - d) = \sin t \cos d - \cos t \sin d$ follows
#
# $$
# \cos t = \frac{\sin t \cos d - \sin(t - d)}{\sin d}
# $$
#
# So let the model see the last ten values, and let the state do its work.
# %% [markdown] lang="zh"
# 在一个周期里，正弦的每个值都出现两次：一次上升，余弦为正；一次下降，余弦为负。只知道 $\sin t$ 时
#
# $$
# \cos t = \pm \sqrt{1 - \sin^2 t}
# $$
#
# 符号无从得知。平方误差最小的预测是两者的平均，也就是 0，剩下的误差就是 $\cos^2$ 的平均，即二分之一。
# 换什么网络、优化器，训练多少轮，都低不过它。办法是多给一些信息。其实相邻两个值就足够了：
# 由 $\sin(t - d) = \sin t \cos d - \cos t \sin d$ 得
#
# $$
# \cos t = \frac{\sin t \cos d - \sin(t - d)}{\sin d}
# $$
#
# 所以让模型看最近十个值，让状态发挥作用。
# %%
STEPS = 10
windows = np.lib.stride_tricks.sliding_window_view(np.sin(t), STEPS)[..., None]  # (991, 10, 1)
targets = np.cos(t)[STEPS - 1 :]

set_random_seed(0)
windowed = Sequential([SimpleRNN(10, input_shape=(STEPS, 1)), Dense(1)])
windowed.compile(optimizer="rmsprop", loss="mse")
ten_values = windowed.fit(windows, targets, epochs=300, verbose=0)
print(f"loss after 300 epochs: {ten_values.history['loss'][-1]:.5f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.semilogy(one_value.history["loss"], label="one value")
left.semilogy(ten_values.history["loss"], label="ten values")
left.set(xlabel="epoch", ylabel="mean squared error")
left.legend()
left.grid(alpha=0.3)
shown = slice(0, 150)
right.plot(t[STEPS - 1 :][shown], targets[shown], color="black", linewidth=3, alpha=0.3, label="cosine")
right.plot(t[shown], model.predict(X, verbose=0)[shown], label="from one value")
right.plot(t[STEPS - 1 :][shown], windowed.predict(windows, verbose=0)[shown], "--", label="from ten values")
right.set(xlabel="t", ylabel="forecast")
right.legend(loc="lower left", fontsize=8)
right.grid(alpha=0.3)

# %% [markdown] lang="en"
# ## The optimizer: RMSprop
#
# Keras's `"rmsprop"` divides each gradient $g$ by the root of a running mean of its squares:
#
# $$
# v \leftarrow \rho v + (1 - \rho) g^2
# $$
#
# $$
# w \leftarrow w - \eta \, \frac{g}{\sqrt{v + \epsilon}}
# $$
#
# with $\eta = 0.001$, $\rho = 0.9$ and $\epsilon = 10^{-7}$. One step by hand, with a gradient by finite differences,
# and the same step by the model:
# %% [markdown] lang="zh"
# ## 优化器：RMSprop
#
# Keras 的 `"rmsprop"` 把每个梯度 $g$ 除以其平方的滑动平均的平方根：
#
# $$
# v \leftarrow \rho v + (1 - \rho) g^2
# $$
#
# $$
# w \leftarrow w - \eta \, \frac{g}{\sqrt{v + \epsilon}}
# $$
#
# 其中 $\eta = 0.001$，$\rho = 0.9$，$\epsilon = 10^{-7}$。先手工走一步（梯度用有限差分来算），
# 再让模型走同样的一步：
# %%
set_random_seed(1)
fresh = Sequential([SimpleRNN(10, input_shape=(STEPS, 1)), Dense(1)])
fresh.compile(optimizer="rmsprop", loss="mse", dtype_policy="float64")
weights = fresh.get_weights()


def loss():
    return np.mean((forward(windows[:32], *weights)[:, 0] - targets[:32]) ** 2)


steps = [np.zeros_like(w) for w in weights]
for w, step in zip(weights, steps, strict=True):
    for place in np.ndindex(*w.shape):
        kept = w[place]
        w[place] = kept + 1e-6
        above = loss()
        w[place] = kept - 1e-6
        below = loss()
        w[place] = kept
        g = (above - below) / 2e-6
        step[place] = 0.001 * g / np.sqrt(0.1 * g**2 + 1e-7)

fresh.train_on_batch(windows[:32], targets[:32])
pairs = zip(weights, steps, fresh.get_weights(), strict=True)
difference = max(np.abs(w - step - theirs).max() for w, step, theirs in pairs)
print(f"131 weights, largest difference {difference:.0e}")

# %% [markdown] lang="en"
# ## Outside the data
#
# The windows of another stretch of the sine are of the same kind, so the network knows them. An amplitude that it has
# never seen is another matter: half of it goes fairly well, twice of it is where tanh bends. New data must be scaled as
# the training data were.
# %% [markdown] lang="zh"
# ## 数据之外
#
# 正弦另一段的窗口还是同一类，网络认得。没见过的振幅就不同了：减半还算可以，加倍时 tanh 已经弯曲，误差很大。
# 所以新数据要和训练数据用同样的方式缩放。
# %%
outside = {}
for name, start, size in (("later", 5000, 1), ("half the size", 0, 0.5), ("twice the size", 0, 2)):
    later = start + t
    seen = np.lib.stride_tricks.sliding_window_view(size * np.sin(later), STEPS)[..., None]
    error = windowed.predict(seen, verbose=0)[:, 0] - size * np.cos(later)[STEPS - 1 :]
    outside[name] = np.mean(error**2) / np.mean((size * np.cos(later)) ** 2)
    print(f"{name:15} error {outside[name]:.5f} of the mean square")

# %% [markdown] lang="en"
# ## A real series
#
# The same model on measured data: carbon dioxide in the air at Mauna Loa, by month. The five missing months are filled
# by straight lines. The network forecasts the change from month to month, from the changes of two years, and learns
# until 1985. The simple forecast beside it: the change of a year ago.
# %% [markdown] lang="zh"
# ## 真实的序列
#
# 同样的模型用在实测数据上：莫纳罗亚山空气中每月的二氧化碳浓度。缺的五个月用直线补上。
# 网络由过去两年每月的变化量预测下个月的变化量，只用 1985 年以前的数据学习。
# 用来对照的简单预测是：和一年前同月的变化量一样。
# %%
months, ppm = datasets.co2()
known = np.isfinite(ppm)
filled = np.interp(np.arange(len(ppm)), np.flatnonzero(known), ppm[known])
changes = np.diff(filled)
past = np.lib.stride_tricks.sliding_window_view(changes, 24)[:-1, :, None]  # (501, 24, 1)
following = changes[24:]
early = months[25:] < np.datetime64("1985-01")

set_random_seed(0)
monthly = Sequential([SimpleRNN(10, input_shape=(24, 1)), Dense(1)])
monthly.compile(optimizer=optimizers.Adam(0.003), loss="mse")
monthly.fit(past[early], following[early], epochs=100, verbose=0)
forecast = monthly.predict(past[~early], verbose=0)[:, 0]
errors = {
    "network": forecast - following[~early],
    "a year ago": past[~early, 12, 0] - following[~early],
    "no change": -following[~early],
}
rms = {name: np.sqrt(np.mean(error**2)) for name, error in errors.items()}
for name, error in rms.items():
    print(f"{name:11} {error:.2f} ppm")

figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
axes.plot(months[25:][~early][:72], filled[25:][~early][:72], color="black", linewidth=3, alpha=0.3, label="measured")
axes.plot(months[25:][~early][:72], (filled[24:-1][~early] + forecast)[:72], "--", label="forecast a month ahead")
axes.set(xlabel="month", ylabel="carbon dioxide, ppm")
axes.legend()
axes.grid(alpha=0.3)

# %% [markdown] lang="en"
# ## Questions
#
# ### What is overfitting, and what helps?
#
# Noise on the sine, 40 windows only, and 50 units: the network learns the windows by heart. Losses of training and
# validation go apart, and the best epoch is long over. What helps is measured beside it, as the mean of three seeds on
# 1,000 fresh windows.
# %% [markdown] lang="zh"
# ## 问答
#
# ### 什么是过拟合，怎么办？
#
# 给正弦加上噪声，只用 40 个窗口，却有 50 个单元：网络会把这些窗口背下来。训练损失和验证损失越离越远，
# 最好的那一轮早就过去了。各种办法的效果测量如下，是三个种子在 1000 个新窗口上的平均。


# %%
def noisy(count, seed):
    """Windows of a sine with noise of 0.3, and the cosine at their ends."""
    rng = np.random.default_rng(seed)
    time_of = rng.uniform(0, 100, count)[:, None] + 0.1 * np.arange(STEPS)
    return (np.sin(time_of) + rng.normal(scale=0.3, size=time_of.shape))[..., None], np.cos(time_of[:, -1])


few, many, fresh_windows = noisy(40, 0), noisy(2000, 1), noisy(1000, 2)


def learn(data, units=50, epochs=400, penalty=None, stop=None, **options):
    """Mean squared errors of training and of validation by epoch, and the error at the end; means of three seeds."""
    curves, ends = [], []
    for seed in range(3):
        set_random_seed(seed)
        layer = SimpleRNN(
            units, input_shape=(STEPS, 1), kernel_regularizer=penalty, recurrent_regularizer=penalty, **options
        )
        network = Sequential([layer, Dense(1)])
        network.compile(optimizers.Adam(0.003), "mse", metrics=["mse"])
        history = network.fit(*data, epochs=epochs, validation_data=fresh_windows, callbacks=stop, verbose=0).history
        curves.append((history["mse"], history["val_mse"]))
        ends.append((network.evaluate(*data, verbose=0)[1], network.evaluate(*fresh_windows, verbose=0)[1]))
    return curves[0], np.mean(ends, axis=0)


early_stopping = callbacks.EarlyStopping(patience=20, restore_best_weights=True)
runs = {
    "nothing": learn(few),
    "4 units": learn(few, units=4),
    "dropout 0.2": learn(few, dropout=0.2, recurrent_dropout=0.2),
    "L2 0.01": learn(few, penalty=regularizers.L2(0.01)),
    "early stopping": learn(few, stop=early_stopping),
    "2,000 windows": learn(many, epochs=40),
}
for name, (_, (training, fresh_error)) in runs.items():
    print(f"{name:15} training {training:.4f}   fresh windows {fresh_error:.4f}")

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.semilogy(runs["nothing"][0][0], label="training")
axes.semilogy(runs["nothing"][0][1], label="validation")
axes.set(xlabel="epoch", ylabel="mean squared error")
axes.legend()
axes.grid(alpha=0.3)

# %% [markdown] lang="en"
# More data helps most, and does not cost a choice. A penalty on the weights and early stopping help with what there is.
# Fewer units do not help here, and dropout hurts: with ten noisy numbers to look at, the network needs them all. So
# measure, on rows held back.
#
# ### How many units?
#
# Mean squared error on the last fifth of the sine, median of three seeds, after 100 epochs:
# %% [markdown] lang="zh"
# 数据多帮助最大，也不需要做什么选择。对权重加惩罚、早停，能把现有的数据用得更好。减少单元在这里没有帮助，
# dropout 反而有害：总共只有十个带噪声的数，网络个个都需要。所以要在留出的数据上测量。
#
# ### 用多少个单元？
#
# 下表是正弦最后五分之一上的均方误差，训练 100 轮，三个种子的中位数：
# %%
by_units = {}
for units in (1, 2, 3, 5, 10, 20, 50):
    errors_of_seeds = []
    for seed in range(3):
        set_random_seed(seed)
        network = Sequential([SimpleRNN(units, input_shape=(STEPS, 1)), Dense(1)])
        rate = optimizers.schedules.CosineDecay(0.01, decay_steps=100 * 25)
        network.compile(optimizers.Adam(rate), "mse")
        network.fit(windows[:792], targets[:792], epochs=100, verbose=0)
        errors_of_seeds.append(network.evaluate(windows[792:], targets[792:], verbose=0))
    by_units[units] = np.median(errors_of_seeds)
    print(f"{units:2} units, {network.count_params():4} weights: {by_units[units]:.1e}")

# %% [markdown] lang="en"
# One unit cannot tell rising from falling well, two or three can: the formula above needs two values. From there on
# more units make it easier to learn, at a price that grows with the square. On clean data they do no harm; on few and
# noisy data they learn by heart. Begin with 16 to 64 and double while the error on rows held back falls.
#
# ### How does one train faster?
#
# The same 20 epochs with other sizes of batches. Seconds are those of the processor, for one thread:
# %% [markdown] lang="zh"
# 一个单元不容易分清上升和下降，两三个就行：上面的公式正需要两个值。再往上，单元多了更容易学，
# 代价按平方增长。数据干净时多一些无妨；数据少而有噪声时，它们会死记硬背。可以从 16 到 64 开始，
# 只要留出数据上的误差还在下降就加倍。
#
# ### 怎样训练得更快？
#
# 同样 20 轮，换不同的批大小。秒数是单线程的处理器时间：
# %%
threads = get_num_threads()
set_num_threads(1)
speed = {}
for size, rate in ((1, 0.001), (8, 0.001), (32, 0.001), (32, 0.01), (256, 0.001), (256, 0.01), (991, 0.01)):
    set_random_seed(0)
    network = Sequential([SimpleRNN(10, input_shape=(STEPS, 1)), Dense(1)])
    network.compile(optimizers.Adam(rate), "mse")
    begin = time.process_time()
    history = network.fit(windows, targets, batch_size=size, epochs=20, verbose=0).history["loss"]
    seconds = time.process_time() - begin
    speed[size, rate] = history[-1]
    print(f"batches of {size:3}, rate {rate:5}: {seconds:.3f} s, loss {history[-1]:.1e}")
set_num_threads(threads)

# %% [markdown] lang="en"
# Single rows cost the most: each step has a price of its own. From 32 rows on an epoch is hardly cheaper with so small
# a network, but it has fewer steps and learns less. What counts is the time to a loss.
#
# - Batches of 16 to 64 are a good start. Larger ones need a higher learning rate: 256 rows at 0.001 have hardly begun.
# - Try three learning rates before all else. It costs nothing, and one of them is often far better.
# - Let it fall towards the end: `optimizers.schedules.CosineDecay`.
# - Stop when nothing improves: `callbacks.EarlyStopping`.
# - Scale inputs and targets to mean 0 and spread 1.
# - `fit` in float32, the default, is faster than in float64.
# - Rows of different lengths: pad, and give `lengths`. Padded steps cost nothing.
# %% [markdown] lang="zh"
# 一行一批最贵，因为每一步都有固定的开销。网络这么小，从 32 行起每轮几乎不再变便宜，步数却少了，学到的也少。
# 重要的是达到某个损失要多长时间。
#
# - 批大小从 16 到 64 开始比较好。批变大时，学习率也要变大：256 行配 0.001，几乎还没开始学。
# - 首先试三个学习率。这不费什么，其中一个往往好得多。
# - 快结束时让它降下来：`optimizers.schedules.CosineDecay`。
# - 没有进步就停：`callbacks.EarlyStopping`。
# - 把输入和目标缩放到均值 0、标准差 1 左右。
# - `fit` 用默认的 float32，比 float64 快。
# - 序列长短不一时，补齐并给出 `lengths`，补的步不花时间。
