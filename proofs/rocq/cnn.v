(******************************************************************************)
(*      A CNN given by its convolutions, end to end                           *)
(*                                                                            *)
(* No matrix in the network: layers are conv2d of a padded sum of resized     *)
(* skips, any number of channels, groups, strides, dilations, paddings (any   *)
(* mode, unequal on the four sides) layer by layer.  Yet it is W X + B, with  *)
(* W and B from the recursion on its Toeplitz and padding matrices.           *)
(*                                                                            *)
(*   c i, h i, w i == the shape of the output of layer i (i = 0: the input)   *)
(*   ec i, eh i, ew i == the shape that skips into layer i are resized to     *)
(*   resize k j y z == how much entry z of f^(k) counts in entry y of what    *)
(*                    enters layer j+1: subsample, fill_channels, conv1x1,    *)
(*                    pool and every other linear resizing has this form      *)
(*   cnn_net == the network of the matrices W^(i), P^(i), R^(k,j), t^(k,j)    *)
(*   cnn_feed f j == what enters layer j+1: the sum of the resized skips      *)
(*   cnn_layer y == one layer on what enters it, in the words of torch        *)
(*   cnn_bias i == B^(i), one number per channel                              *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import recursion linear_cnn gated flatten pattern padding correlation.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section CNN.
Variable K : comRingType.
Variables c h w ec eh ew : nat -> nat.
Variables kh kw s1 s2 d1 d2 g top bottom left right : nat -> nat.
Variable mode : nat -> padding_mode.
Local Notation Out i := ('I_(c i) * 'I_(h i) * 'I_(w i))%type.
Local Notation Inp i := ('I_(ec i) * 'I_(eh i) * 'I_(ew i))%type.
Local Notation Mid i :=
  ('I_(ec i) * 'I_(top i + eh i + bottom i) * 'I_(left i + ew i + right i))%type.

Variable kern : forall i, 'I_(c i) -> 'I_(ec i %/ g i) -> 'I_(kh i) -> 'I_(kw i) -> K.
Variable bias : forall i, 'I_(c i) -> K.
Variable resize : forall k j, Inp j.+1 -> Out k -> K.
Variable t : nat -> nat -> K.

(* one layer, in the words of torch: convolution of the padded input, and a bias per channel *)
Definition cnn_layer i (y : Inp i -> K) (o : Out i) : K :=
  conv2d (g := g i) (s1 i) (s2 i) (d1 i) (d2 i) (@kern i)
    (pad2 (mode i) (top := top i) (bottom := bottom i) (left := left i) (right := right i) y) o
  + bias o.1.1.

(* what enters layer j+1 *)
Definition cnn_feed (f : forall i, Out i -> K) j (y : Inp j.+1) : K :=
  \sum_(k < j.+1) t k j * \sum_(z : Out k) resize y z * f k z.

Definition cnn_net :
  skipnet K (fun i => #|{: Out i}|) (fun i => #|{: Inp i}|) (fun i => #|{: Mid i}|) :=
  SkipNet
    (fun i => conv2_mx _ _ (h i) (w i) (s1 i) (s2 i) (d1 i) (d2 i) (@kern i))
    (fun i => pad2_mx K (mode i) (ec i) (eh i) (ew i) (top i) (bottom i) (left i) (right i))
    (fun k j => mxf (@resize k j)) t.
Definition cnn_bias i : 'cV[K]_(#|{: Out i}|) := vec (fun o : Out i => bias o.1.1).

Lemma cnn_layerP (f : forall i, Out i -> K) j :
  vec (cnn_layer (cnn_feed f (j := j))) =
  weight cnn_net j.+1 *m pad cnn_net j.+1 *m
    (\sum_(k < j.+1) t k j *: (recursion.resize cnn_net k j *m vec (@f k))) + cnn_bias j.+1.
Proof.
have -> : \sum_(k < j.+1) t k j *: (recursion.resize cnn_net k j *m vec (@f k)) =
    vec (cnn_feed f (j := j)).
  by rewrite vec_sum; apply: eq_bigr => k _; rewrite mxf_vec.
by rewrite -mulmxA pad2P conv2dP -vecD.
Qed.

Section Linear.
Variable f : forall i, Out i -> K.
Hypothesis fS : forall j, @f j.+1 =1 cnn_layer (cnn_feed f (j := j)).

Theorem cnn_affine L :
  vec (@f L) = Wof cnn_net L *m vec (@f 0%N) + Bof cnn_net cnn_bias L.
Proof.
rewrite -linear_cnn; apply: (forward_unique (g := fun i => vec (@f i))) => // j.
rewrite -cnn_layerP; apply/eq_vec.
exact: fS.
Qed.
End Linear.

(* with a gate after every layer: ReLU with the activation pattern of the input *)
Section Gates.
Variables (gate : forall i, Out i -> K) (f : forall i, Out i -> K).
Hypothesis fS : forall j o, @f j.+1 o = gate o * cnn_layer (cnn_feed f (j := j)) o.
Let D i := diag_mx (vec (@gate i))^T.

Theorem cnn_gated L :
  vec (@f L) = Wof (gated cnn_net D) L *m vec (@f 0%N)
               + Bof (gated cnn_net D) (fun i => D i *m cnn_bias i) L.
Proof.
apply: (gated_affine (g := fun i => vec (@f i))) => j.
rewrite -cnn_layerP; apply/matrixP => o q; rewrite mul_diag_mx !mxE.
exact: fS.
Qed.
End Gates.

End CNN.

Print Assumptions cnn_affine.
Print Assumptions cnn_gated.
