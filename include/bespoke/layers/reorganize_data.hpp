#pragma once

#include "../core/concepts.hpp"
#include "../kernels/strided.hpp"

#include <limits>

namespace bespoke {

enum class reorganization_type { space_to_depth, depth_to_space, pixel_shuffle };
constexpr std::array<std::string_view, 3> enumerators(reorganization_type) {
    return {"SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "PIXEL_SHUFFLE"};
}

/// Moves elements between the channels of x [..., C, H, W] and squares of b x b pixels, b = block_size, which is 2 or
/// more. With i and j from 0 to b - 1:
///
/// | mode           | shape of y                 | elements                                                  |
/// |----------------|----------------------------|-----------------------------------------------------------|
/// | space_to_depth | [..., C b b, H / b, W / b] | y[(i b + j) C + c, h, w] = x[c, h b + i, w b + j]         |
/// | depth_to_space | [..., C / (b b), H b, W b] | y[c, h b + i, w b + j] = x[(i b + j) C / (b b) + c, h, w] |
/// | pixel_shuffle  | [..., C / (b b), H b, W b] | y[c, h b + i, w b + j] = x[c b b + i b + j, h, w]         |
///
/// Core ML specification, ReorganizeDataLayerParams.
struct reorganize_data {
    reorganization_type mode = reorganization_type::space_to_depth;
    extent block_size = 0;

    static constexpr auto key = "reorganizeData";
    constexpr void fields(auto& field) {
        field("mode", mode);
        field("blockSize", block_size);
    }
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        constexpr extent largest = std::numeric_limits<extent>::max();
        if (x.rank() < 3) return shape_fault("an input of rank 3 or more wanted, its shape is ", x);
        if (block_size < 2) return value_fault("a blockSize from 2 up wanted, ", block_size, " given");
        shape y = x;
        extent &channels = y.from_end(3), &height = y.from_end(2), &width = y.from_end(1);
        const extent square = checked_product(block_size, block_size, largest);
        if (to_depth()) {
            if (height % block_size != 0 || width % block_size != 0)
                return shape_fault("a height and a width wanted that blockSize ", block_size,
                                   " divides, the shape of its input is ", x);
            height /= block_size;
            width /= block_size;
            channels = square < 0 && channels > 0 ? -1 : checked_product(channels, square, largest);
        } else {
            if (square < 0 ? channels != 0 : channels % square != 0)
                return shape_fault("channels wanted that the square of blockSize ", block_size,
                                   " divides, the shape of its input is ", x);
            if (channels > 0) channels /= square;
            height = checked_product(height, block_size, largest);
            width = checked_product(width, block_size, largest);
        }
        if (channels < 0 || height < 0 || width < 0)
            return shape_fault("an output of smaller extents wanted, the shape of its input is ", x,
                               " and blockSize ", block_size);
        return y;
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        kernels::copy_strided(walk(x.dimensions, y.dimensions, x.examples), x.data, y.data, w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (!dx) return;
        kernels::accumulate_strided(walk(dx.dimensions, dy.dimensions, dx.examples).reversed(), dy.data,
                                    dx.data, w.threads);
    }
    friend bool operator==(const reorganize_data&, const reorganize_data&) = default;

private:
    constexpr bool to_depth() const { return mode == reorganization_type::space_to_depth; }

    /// From x to y.
    kernels::strided_walk walk(const shape& x, const shape& y, extent examples) const {
        const shape &wide = to_depth() ? x : y, &deep = to_depth() ? y : x;
        const extent b = block_size, channels = wide.from_end(3), height = deep.from_end(2),
                     width = deep.from_end(1);
        kernels::strided_walk w;
        if (x.size() == 0) {
            w.add(0, 1, 1);
            return w;
        }
        const extent image = height * width, before = examples * x.product(0, x.rank() - 3);
        const bool shuffled = mode == reorganization_type::pixel_shuffle;
        const extent place = shuffled ? image : channels * image;  // from one of the b b places to the next
        w.add(before, channels * image * b * b, channels * image * b * b);
        w.add(channels, image * b * b, shuffled ? image * b * b : image);
        w.add(b, width * b, b * place);  // i
        w.add(height, b * width * b, width);
        w.add(b, 1, place);  // j
        w.add(width, b, 1);
        return to_depth() ? w : w.reversed();
    }
};

}  // namespace bespoke
